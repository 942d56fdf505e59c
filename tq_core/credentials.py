"""The password of a context, from a file or a program, so that it need not stand in the configuration."""

from __future__ import annotations

import subprocess
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from tq_core.errors import BrokerConfigError
from tq_core.settings import BrokerAddress, BrokerContext

COMMAND_TIMEOUT_S = 30.0
"""So long a program may take to print a password: somebody may have to unlock a store first."""


def opened_url(address: BrokerAddress) -> str:
    """The address with the password of its context in it: only for who connects at once; blocks while a program runs.

    Raises:
        BrokerConfigError: The password cannot be had.
    """
    context = address.context
    if context is None or not (context.password_file or context.password_command):
        return address.url
    parts = urlsplit(address.url)
    credentials, _, places = parts.netloc.rpartition("@")
    user, _, inline = credentials.partition(":")
    if inline:
        raise BrokerConfigError(
            f"the context {context.name!r} has a password in its address and another one beside it; keep one of them"
        )
    password = quote(_password(context), safe="")
    return urlunsplit(parts._replace(netloc=f"{user}:{password}@{places}"))


def _password(context: BrokerContext) -> str:
    text = _of_file(context) if context.password_file else _of_command(context)
    password = text.partition("\n")[0].rstrip("\r")
    if not password:
        raise BrokerConfigError(f"the context {context.name!r}: there is no password on the first line that was read")
    return password


def _of_file(context: BrokerContext) -> str:
    path = Path(context.password_file or "").expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        why = error.strerror or str(error)
        raise BrokerConfigError(f"the password of the context {context.name!r}: {path}: {why}") from error
    except UnicodeDecodeError as error:
        raise BrokerConfigError(f"the password of the context {context.name!r}: {path} is not UTF-8 text") from error


def _of_command(context: BrokerContext) -> str:
    program = context.password_command[0]
    what = f"the password of the context {context.name!r}: {program}"
    try:
        ran = subprocess.run(
            context.password_command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
            text=True,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokerConfigError(f"{what} took longer than {COMMAND_TIMEOUT_S:g} s") from error
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise BrokerConfigError(f"{what} cannot be run: {error}") from error
    if ran.returncode != 0:
        # Its own words only where it failed: what it prints otherwise is the password.
        said = (ran.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise BrokerConfigError(f"{what} ended with {ran.returncode}: {said}")
    return ran.stdout
