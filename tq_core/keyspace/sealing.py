"""Arguments and results on their way into Redis and back: compressed, signed or encrypted, as this process is told.

Plain JSON never begins with "!", so what is sealed is known by its first byte, and plain and sealed tasks may lie side
by side:

    !z DEFLATE                      compressed (zlib, RFC 1950)
    !s KEY:MAC INNER                signed: HMAC-SHA256 (RFC 2104) of purpose and INNER, which is plain or compressed
    !e KEY:NONCE CIPHERTEXT         encrypted: AES-256-GCM (NIST SP 800-38D), nonce of 12 bytes; plain or compressed

The purpose (task type, and whether these are arguments or a result) is signed along, so that what is taken from one
task cannot be put into one of another type. Keys have ids: the first one seals, all of them open, so that a key is
replaced by putting a new one before it. Sealing is a setting of the process, as the broker's password is:

    TQ_COMPRESS_ABOVE=4096          bytes; without it nothing is compressed
    TQ_PAYLOAD_KEYS_FILE=PATH       one "ID BASE64 of 32 bytes" a line; `tq config new-key` makes one
    TQ_PAYLOAD_MODE=encrypt         or sign; encrypt where there are keys and nothing is said
    TQ_PAYLOAD_ACCEPT_PLAIN=1       run tasks that are not sealed as well: for the time of a change

What is not sealed: names, ids, unique keys, schedules' arguments, the errors of failed tasks, and what handlers log.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tq_core.errors import InvalidInputError, PayloadRefusedError

SECRET_BYTES = 32
MAX_OPENED_BYTES = 256 * 1024 * 1024
"""No compressed text becomes longer: a few bytes can be made to hold gigabytes."""
MODES = ("encrypt", "sign")
_KEY_ID = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_MAC_BYTES = 32
_NONCE_BYTES = 12
_COMPRESSION = 1
"""zlib's fastest: on JSON of some kilobytes a third of the time of its default for a tenth more bytes."""


class Key(msgspec.Struct, frozen=True):
    """A secret and the id that says which it is."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"<Key {self.id}>"


def purpose_of(task_type: str, what: str) -> bytes:
    """What a seal is bound to.

    Args:
        what: `args` or `result`.
    """
    return f"{task_type}/{what}".encode()


class Sealing:
    """How one process writes payloads, and which it takes."""

    def __init__(
        self,
        *,
        compress_above_bytes: int | None = None,
        keys: Sequence[Key] = (),
        mode: str = "encrypt",
        accepts_plain: bool = False,
    ) -> None:
        """Checks what is asked for.

        Args:
            compress_above_bytes: Longer texts are compressed where that makes them shorter; None = never.
            keys: The first seals, all open; none = nothing is sealed.
            mode: encrypt or sign.
            accepts_plain: Whether `open` takes what is not sealed although there are keys.

        Raises:
            InvalidInputError: a value is not allowed, or the library for encryption is not installed.
        """
        if mode not in MODES:
            raise InvalidInputError(f"the payload mode {mode!r}: use {' or '.join(MODES)}")
        if compress_above_bytes is not None and compress_above_bytes < 0:
            raise InvalidInputError(f"compress above {compress_above_bytes} bytes: must be from 0")
        seen: set[str] = set()
        for key in keys:
            if not _KEY_ID.fullmatch(key.id):
                raise InvalidInputError(f"{key.id!r} cannot be a key's id: use 1 to 32 letters, digits, '.', '_', '-'")
            if len(key.secret) != SECRET_BYTES:
                raise InvalidInputError(
                    f"the key {key.id!r} has {len(key.secret)} bytes, not {SECRET_BYTES}: make one with "
                    "`tq config new-key`"
                )
            if key.id in seen:
                raise InvalidInputError(f"the key {key.id!r} is given twice")
            seen.add(key.id)
        self._compress_above = compress_above_bytes
        self._mode = mode if keys else ""
        self._accepts_plain = accepts_plain or not keys
        self._first = keys[0] if keys else None
        self._signing = {key.id: _derived(key, b"sign") for key in keys}
        self._ciphers = {key.id: _cipher(_derived(key, b"encrypt")) for key in keys} if self._needs_ciphers() else {}
        self.is_idle = compress_above_bytes is None and not keys
        """Whether what is written stays as it is."""

    def __repr__(self) -> str:
        return f"<Sealing mode={self._mode or 'none'} keys={list(self._signing)} compress={self._compress_above}>"

    def _needs_ciphers(self) -> bool:
        return self._mode == "encrypt" or (bool(self._mode) and _has_cryptography())

    def seal(self, plain: bytes, purpose: bytes) -> bytes:
        """The text as it is stored."""
        if self.is_idle:
            return plain
        inner = plain
        if self._compress_above is not None and len(plain) > self._compress_above:
            shorter = b"!z" + zlib.compress(plain, _COMPRESSION)
            if len(shorter) < len(plain):
                inner = shorter
        if self._first is None:
            return inner
        key_id = self._first.id
        head = f"!{self._mode[0]}{key_id}:".encode()
        if self._mode == "sign":
            return head + _mac(self._signing[key_id], purpose, inner) + inner
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed: bytes = self._ciphers[key_id].encrypt(nonce, inner, purpose)
        return head + nonce + sealed

    def open(self, stored: bytes, purpose: bytes) -> bytes:
        """The text as it was before it was sealed; only what this process takes.

        Raises:
            PayloadRefusedError: it is not sealed and should be, its key is unknown, or it was changed on its way.
        """
        if refusal := self.refusal(stored):
            raise PayloadRefusedError(refusal)
        return self.read(stored, purpose) if stored[:1] == b"!" else stored

    def refusal(self, stored: bytes) -> str:
        """Why this process works with no text of its kind, whatever it holds; "" where it does."""
        if self._accepts_plain or stored[:2] in ((b"!e",) if self._mode == "encrypt" else (b"!e", b"!s")):
            return ""
        wanted = "encrypted" if self._mode == "encrypt" else "signed"
        return (
            f"it is not {wanted}, and this process takes no other: was it written by a program without "
            "the key? TQ_PAYLOAD_ACCEPT_PLAIN=1 takes such for a time"
        )

    def read(self, stored: bytes, purpose: bytes) -> bytes:
        """As `open`, whatever kind of seal it has or has not: for showing, not for running.

        Raises:
            PayloadRefusedError: its key is unknown, it was changed on its way, or it is damaged.
        """
        kind, rest = stored[:2], stored[2:]
        if kind == b"!s":
            key_id, sealed = _split_key(rest)
            mac, inner = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
            signing = self._signing.get(key_id)
            if signing is None:
                raise _no_key("signed", key_id)
            if not hmac.compare_digest(mac, _mac(signing, purpose, inner)):
                raise _changed(key_id)
            return _inflate(inner)
        if kind == b"!e":
            key_id, sealed = _split_key(rest)
            cipher = self._ciphers.get(key_id)
            if cipher is None:
                raise _no_key("encrypted", key_id)
            return _inflate(_decrypt(cipher, key_id, sealed, purpose))
        return _inflate(stored)


def is_sealed(stored: bytes) -> bool:
    """Whether these are no plain arguments and no plain result."""
    return stored[:1] == b"!"


def beginning(stored: bytes) -> bytes:
    """What can be told of the beginning of a sealed text: plain text where it is only compressed, else what it is."""
    if stored[:2] == b"!z":
        try:
            return zlib.decompressobj().decompress(stored[2:], 64 * 1024)
        except zlib.error:
            return b"(damaged)"
    kind = {b"!s": "signed", b"!e": "encrypted"}.get(stored[:2], "sealed in a way this version does not know")
    return f"({kind}{', key ' + _split_key(stored[2:])[0] if stored[:2] in (b'!s', b'!e') else ''})".encode()


# --- what this process is told ---

_current: Sealing | None = None


def current() -> Sealing:
    """What this process was told: by `use`, else by its environment.

    Raises:
        InvalidInputError: the environment says something that cannot be done.
    """
    global _current  # noqa: PLW0603 - one setting of the process
    if _current is None:
        _current = of_environment()
    return _current


def use(sealing: Sealing | None) -> None:
    """Sets how this process seals, before it enqueues or runs anything; None = what the environment says."""
    global _current  # noqa: PLW0603 - one setting of the process
    _current = sealing


def of_environment(environ: Mapping[str, str] = os.environ) -> Sealing:
    """Reads TQ_COMPRESS_ABOVE, TQ_PAYLOAD_KEYS_FILE, TQ_PAYLOAD_MODE and TQ_PAYLOAD_ACCEPT_PLAIN.

    Raises:
        InvalidInputError: one of them, or the file, is not as it must be; never shows a secret.
    """
    text = environ.get("TQ_COMPRESS_ABOVE", "").strip()
    if text and not (text.isascii() and text.isdigit()):
        raise InvalidInputError(f"TQ_COMPRESS_ABOVE={text!r}: must be a number of bytes")
    path = environ.get("TQ_PAYLOAD_KEYS_FILE", "")
    keys = read_keys(Path(path)) if path else []
    mode = environ.get("TQ_PAYLOAD_MODE", "").strip().lower()
    if mode and not keys:
        raise InvalidInputError(f"TQ_PAYLOAD_MODE={mode!r} needs keys: set TQ_PAYLOAD_KEYS_FILE")
    return Sealing(
        compress_above_bytes=int(text) if text else None,
        keys=keys,
        mode=mode or "encrypt",
        accepts_plain=environ.get("TQ_PAYLOAD_ACCEPT_PLAIN", "").strip().lower() in ("1", "true", "yes", "on"),
    )


def read_keys(path: Path) -> list[Key]:
    """The keys of a file, the one that seals first; empty lines and those that begin with # are left out.

    Raises:
        InvalidInputError: it cannot be read, or a line is no key; names the line, never what is in it.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InvalidInputError(f"the keys of {path} cannot be read: {reason}") from error
    keys = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            key_id, encoded = words
            keys.append(Key(key_id, base64.b64decode(encoded, validate=True)))
        except (ValueError, binascii.Error):
            raise InvalidInputError(
                f"{path}, line {number}: must be an id and the Base64 of {SECRET_BYTES} bytes, as `tq config new-key` "
                "prints it"
            ) from None
    if not keys:
        raise InvalidInputError(f"{path} holds no key: `tq config new-key ID >> {path}` adds one")
    return keys


def new_key_line(key_id: str) -> str:
    """A new key as a line of a file of keys.

    Raises:
        InvalidInputError: this cannot be a key's id.
    """
    if not _KEY_ID.fullmatch(key_id):
        raise InvalidInputError(f"{key_id!r} cannot be a key's id: use 1 to 32 letters, digits, '.', '_', '-'")
    return f"{key_id} {base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()}"


# --- the pieces ---


def _derived(key: Key, use_of_it: bytes) -> bytes:
    # One secret must not serve two algorithms.
    return hashlib.blake2b(key=key.secret, person=b"tq-" + use_of_it, digest_size=32).digest()


def _mac(signing: bytes, purpose: bytes, inner: bytes) -> bytes:
    return hmac.digest(signing, purpose + b"\0" + inner, "sha256")


def _has_cryptography() -> bool:
    import importlib.util

    return importlib.util.find_spec("cryptography") is not None


def _cipher(secret: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise InvalidInputError(
            "encrypting payloads needs the cryptography package: pip install 'tq-console[encryption]', or set "
            "TQ_PAYLOAD_MODE=sign"
        ) from error
    return AESGCM(secret)


def _decrypt(cipher: Any, key_id: str, sealed: bytes, purpose: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        plain: bytes = cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose)
    except (InvalidTag, ValueError) as error:  # ValueError: too short to hold a nonce
        raise _changed(key_id) from error
    return plain


def _inflate(inner: bytes) -> bytes:
    if inner[:1] != b"!":
        return inner
    if inner[:2] != b"!z":
        raise PayloadRefusedError(
            f"it is sealed in a way that this version does not know ({inner[:2]!r}): a newer tq wrote it, or it "
            "is damaged"
        )
    opener = zlib.decompressobj()
    try:
        plain = opener.decompress(inner[2:], MAX_OPENED_BYTES)
    except zlib.error as error:
        raise PayloadRefusedError(f"it is damaged: {error}") from error
    if not opener.eof:
        raise PayloadRefusedError(f"it is damaged, or longer than {MAX_OPENED_BYTES} bytes when opened")
    return plain


def _split_key(rest: bytes) -> tuple[str, bytes]:
    key_id, _, sealed = rest.partition(b":")
    return key_id[:32].decode("ascii", "replace"), sealed


def _no_key(kind: str, key_id: str) -> PayloadRefusedError:
    return PayloadRefusedError(
        f"it is {kind} with the key {key_id!r}, which this process does not have: add it to TQ_PAYLOAD_KEYS_FILE"
    )


def _changed(key_id: str) -> PayloadRefusedError:
    return PayloadRefusedError(
        f"its seal does not fit (key {key_id!r}): it was changed after it was written, or belongs to another task type"
    )
