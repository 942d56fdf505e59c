"""Payloads and results that are compressed, signed or encrypted."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core.errors import InvalidInputError, PayloadRefusedError
from tq_core.keyspace import sealing
from tq_core.keyspace.sealing import Key, Sealing, purpose_of

OLD, NEW = Key("old", b"o" * 32), Key("new", b"n" * 32)
ARGS = purpose_of("mail", "args")
TEXT = b'{"to":"a@example.org","body":"' + b"hello " * 200 + b'"}'


def sealings() -> list[Sealing]:
    return [
        Sealing(),
        Sealing(compress_above_bytes=100),
        Sealing(keys=[NEW], mode="sign"),
        Sealing(keys=[NEW], mode="encrypt"),
        Sealing(keys=[NEW], mode="sign", compress_above_bytes=100),
        Sealing(keys=[NEW], mode="encrypt", compress_above_bytes=100),
    ]


@pytest.mark.parametrize("how", sealings(), ids=repr)
@given(text=st.binary(max_size=600).map(lambda tail: b"{" + tail))
def test_what_is_sealed_opens_to_what_it_was(how: Sealing, text: bytes) -> None:
    assert how.open(how.seal(text, ARGS), ARGS) == text


def test_nothing_is_sealed_unless_it_was_asked_for() -> None:
    assert Sealing().seal(TEXT, ARGS) == TEXT


def test_long_texts_become_shorter_and_short_ones_stay_plain() -> None:
    how = Sealing(compress_above_bytes=100)
    assert len(how.seal(TEXT, ARGS)) < len(TEXT) / 10
    assert how.seal(b'{"a":1}', ARGS) == b'{"a":1}'


def test_a_text_that_would_not_become_shorter_stays_as_it_is() -> None:
    assert Sealing(compress_above_bytes=0).seal(b'{"a":1}', ARGS) == b'{"a":1}'


def test_an_encrypted_text_shows_nothing_and_is_another_each_time() -> None:
    how = Sealing(keys=[NEW])
    first, second = how.seal(TEXT, ARGS), how.seal(TEXT, ARGS)
    assert first != second
    assert b"hello" not in first
    assert first.startswith(b"!enew:")


@pytest.mark.parametrize("mode", sealing.MODES)
def test_a_key_is_replaced_by_putting_a_new_one_before_it(mode: str) -> None:
    before = Sealing(keys=[OLD], mode=mode).seal(TEXT, ARGS)
    both = Sealing(keys=[NEW, OLD], mode=mode)
    assert both.open(before, ARGS) == TEXT
    assert both.seal(TEXT, ARGS)[2:6] == b"new:"


@pytest.mark.parametrize("mode", sealing.MODES)
def test_every_changed_byte_is_noticed(mode: str) -> None:
    how = Sealing(keys=[NEW], mode=mode)
    sealed = how.seal(b'{"a":1}', ARGS)
    for i in range(len(sealed)):
        changed = sealed[:i] + bytes([sealed[i] ^ 1]) + sealed[i + 1 :]
        with pytest.raises(PayloadRefusedError):
            how.open(changed, ARGS)


@pytest.mark.parametrize("mode", sealing.MODES)
def test_a_seal_is_bound_to_the_task_type_and_to_what_it_is(mode: str) -> None:
    how = Sealing(keys=[NEW], mode=mode)
    for other in (purpose_of("pay", "args"), purpose_of("mail", "result")):
        with pytest.raises(PayloadRefusedError, match="does not fit"):
            how.open(how.seal(TEXT, ARGS), other)


@pytest.mark.parametrize("mode", sealing.MODES)
def test_a_key_that_is_not_here_is_named(mode: str) -> None:
    with pytest.raises(PayloadRefusedError, match="'new'"):
        Sealing(keys=[OLD], mode=mode).open(Sealing(keys=[NEW], mode=mode).seal(TEXT, ARGS), ARGS)
    with pytest.raises(PayloadRefusedError, match="'new'"):
        Sealing().open(Sealing(keys=[NEW], mode=mode).seal(TEXT, ARGS), ARGS)


def test_a_process_with_keys_takes_nothing_plain_unless_it_was_told_to() -> None:
    with pytest.raises(PayloadRefusedError, match="not encrypted"):
        Sealing(keys=[NEW]).open(TEXT, ARGS)
    with pytest.raises(PayloadRefusedError, match="not signed"):
        Sealing(keys=[NEW], mode="sign").open(TEXT, ARGS)
    assert Sealing(keys=[NEW], accepts_plain=True).open(TEXT, ARGS) == TEXT


def test_a_process_that_wants_encryption_takes_no_mere_signature() -> None:
    signed = Sealing(keys=[NEW], mode="sign").seal(TEXT, ARGS)
    with pytest.raises(PayloadRefusedError, match="not encrypted"):
        Sealing(keys=[NEW]).open(signed, ARGS)
    assert Sealing(keys=[NEW]).read(signed, ARGS) == TEXT


def test_a_few_bytes_cannot_be_made_to_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MAX_OPENED_BYTES", 1000)
    with pytest.raises(PayloadRefusedError, match="longer than 1000 bytes"):
        Sealing().open(b"!z" + zlib.compress(b"a" * 1001), ARGS)
    assert len(Sealing().open(b"!z" + zlib.compress(b"a" * 999), ARGS)) == 999


@given(st.binary(max_size=200))
def test_no_bytes_whatever_raise_anything_but_a_refusal(junk: bytes) -> None:
    for how in (Sealing(), Sealing(keys=[NEW], accepts_plain=True), Sealing(keys=[NEW], mode="sign")):
        for start in (b"!", b"!z", b"!s", b"!e", b"!enew:", b"!snew:", b"!x"):
            try:
                how.open(start + junk, ARGS)
            except PayloadRefusedError:
                pass
            sealing.beginning(start + junk)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ([Key("a b", b"x" * 32)], "cannot be a key's id"),
        ([Key("a", b"x" * 31)], "31 bytes"),
        ([NEW, NEW], "given twice"),
    ],
)
def test_keys_that_cannot_be_are_refused_without_showing_them(keys: list[Key], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words) as refused:
        Sealing(keys=keys)
    assert "xxxx" not in str(refused.value)


def test_the_environment_says_how(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# the first one seals\n{sealing.new_key_line('b')}\n\n{sealing.new_key_line('a')}\n")
    how = sealing.of_environment({"TQ_PAYLOAD_KEYS_FILE": str(path), "TQ_COMPRESS_ABOVE": "10"})
    sealed = how.seal(TEXT, ARGS)
    assert sealed.startswith(b"!eb:")
    assert len(sealed) < len(TEXT)
    assert "mode=sign" in repr(sealing.of_environment({"TQ_PAYLOAD_KEYS_FILE": str(path), "TQ_PAYLOAD_MODE": "sign"}))


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"TQ_COMPRESS_ABOVE": "4k"}, "TQ_COMPRESS_ABOVE"),
        ({"TQ_PAYLOAD_MODE": "sign"}, "needs keys"),
        ({"TQ_PAYLOAD_KEYS_FILE": "/nowhere/keys"}, "cannot be read"),
    ],
)
def test_an_environment_that_cannot_be_is_refused(environ: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        sealing.of_environment(environ)


def test_a_line_that_is_no_key_is_named_by_its_number_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"{sealing.new_key_line('a')}\nb not*base64\n")
    with pytest.raises(InvalidInputError, match="line 2") as refused:
        sealing.read_keys(path)
    assert "not*base64" not in str(refused.value)
