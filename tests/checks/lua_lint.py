"""Checks every Lua script of the queue layer: `python -m tests.checks.lua_lint`.

Each script, with its includes put in, must compile under Lua 5.1 and use no global but those that a Redis of our floor
and fakeredis both have. Each file must begin with the line `-- name: effect`, name every command as a literal, and call
none that walks or empties the keyspace, or changes the server. Lua stands in `.lua` files only.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.checks.lua_globals import CompileError, globals_of
from tests.checks.lua_tokens import Kind, Token, tokens_of
from tq_core.keyspace.script_loader import load_source

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "tq_core" / "keyspace" / "scripts"
PYTHON_FOLDERS = ("tq_core", "tq_worker", "tq_console", "benchmarks")  # a test of a server may need a script of its own
CHECKS = Path(__file__).resolve().parent

CALL = "call"
"""The one name that scripts may give to redis.call."""

GLOBALS = frozenset(
    {
        *("KEYS", "ARGV", "redis", "cjson", "string", "table", "math"),
        *("assert", "error", "ipairs", "next", "pairs", "pcall", "select", "tonumber", "tostring", "type", "unpack"),
        *("rawequal", "rawget", "rawset", "getmetatable", "setmetatable"),
    }
)

REDIS_MEMBERS = frozenset(
    {"call", "pcall", "error_reply", "status_reply", "sha1hex"}
    | {"log", "LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"}
)

FORBIDDEN_GLOBALS = {
    "cmsgpack": "fakeredis lacks it; use cjson",
    "struct": "fakeredis lacks it; use string.format and string.match",
    "bit": "fakeredis lacks it; use arithmetic",
    "os": "the time is redis.call('TIME')",
    "print": "use redis.log",
}

FORBIDDEN_COMMANDS = {
    "walks the whole keyspace": {"KEYS", "SCAN", "RANDOMKEY", "DBSIZE"},
    "empties the server": {"FLUSHALL", "FLUSHDB", "SWAPDB"},
    "runs other code": {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "FUNCTION", "SCRIPT"},
    "is about the server, which managed ones forbid": {"CONFIG", "DEBUG", "MONITOR", "SAVE", "BGSAVE", "SHUTDOWN"},
    "leaves the database": {"SELECT", "MOVE"},
}

_HEADER = re.compile(r"-- (?P<name>[a-z0-9_]+): \S.*")
_NAMING = re.compile(r"local (?P<names>(?:\w+, )*)call = (?P<values>(?:[^,()]+, )*)redis\.call")
_INCLUDE = re.compile(r"^--@include (\S+)", re.MULTILINE)
_LUA_IN_PYTHON = re.compile(r"\bredis\.p?call\s*\(")


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong, and where."""

    path: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}"


def check_scripts(folder: Path, compose: Callable[[str], str]) -> list[Finding]:
    """Check the scripts of a folder and its `includes`.

    Args:
        folder: `NAME.lua` are scripts, `includes/NAME.lua` are parts that they name by `--@include NAME`.
        compose: Turns the name of a script into its whole text, as it is sent.
    """
    scripts = sorted(folder.glob("*.lua"))
    includes = sorted((folder / "includes").glob("*.lua"))
    if not scripts:
        return [Finding(folder.name, 1, "holds no scripts")]
    findings = [finding for path in (*scripts, *includes) for finding in check_file(path)]
    findings += [finding for path in scripts for finding in _check_whole(path, compose)]
    named = {name for path in (*scripts, *includes) for name in _INCLUDE.findall(path.read_text("utf-8"))}
    findings += [Finding(_place(path), 1, "is included by no script") for path in includes if path.stem not in named]
    return sorted(set(findings))


def check_file(path: Path) -> Iterator[Finding]:
    """Check the words of one file, whether a script or a part of one."""
    source = path.read_text("utf-8")
    first_line = source.partition("\n")[0]
    header = _HEADER.fullmatch(first_line)
    if first_line.startswith("#!"):
        yield Finding(_place(path), 1, "a shebang line is understood by newer servers only")
    elif header is None or header["name"] != path.stem:
        yield Finding(_place(path), 1, f"must begin with the line `-- {path.stem}: effect`")
    try:
        tokens = list(tokens_of(source))
    except ValueError as error:
        yield Finding(_place(path), 1, str(error))
        return
    naming_lines = {number for number, line in enumerate(source.splitlines(), start=1) if _names_call(line)}
    for position, token in enumerate(tokens):
        if token.kind is Kind.NAME and token.line not in naming_lines and not _is_member(tokens, position):
            yield from (Finding(_place(path), token.line, problem) for problem in _problems_at(tokens, position))


def check_python(path: Path) -> Iterator[Finding]:
    """Check that a Python file holds no Lua."""
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if _LUA_IN_PYTHON.search(line):
            yield Finding(str(path), number, "Lua in Python: move it into a .lua file of tq_core/keyspace/scripts")


def _place(path: Path) -> str:
    """Name a file by its folder too: a script and a part of scripts may share a name."""
    return f"{path.parent.name}/{path.name}"


def _names_call(line: str) -> bool:
    """Whether a line gives redis.call its name, as in `local Q, call = KEYS[1], redis.call`."""
    naming = _NAMING.fullmatch(line.strip())
    return naming is not None and naming["names"].count(",") == naming["values"].count(",")


def _check_whole(path: Path, compose: Callable[[str], str]) -> Iterator[Finding]:
    try:
        source = compose(path.stem)
        uses = globals_of(source, path.name)
    except FileNotFoundError as error:
        yield Finding(_place(path), 1, f"includes what is not there: {error.filename}")
        return
    except CompileError as error:
        yield Finding(_place(path), 1, f"does not compile (the line counts includes): {error}")
        return
    lines = source.splitlines()
    for use in uses:
        if use.is_write:
            problem = f"writes the global {use.name}: say `local`"
        elif use.name in FORBIDDEN_GLOBALS:
            problem = f"uses {use.name}: {FORBIDDEN_GLOBALS[use.name]}"
        elif use.name not in GLOBALS:
            problem = f"reads {use.name}, which is no local and no global of Redis"
        else:
            continue
        yield Finding(_place(path), use.line, f"{problem} (the line counts includes: {lines[use.line - 1].strip()})")


def _problems_at(tokens: list[Token], position: int) -> Iterator[str]:
    """Say what is wrong with the use of a name that is not a member of something else."""
    name = tokens[position].text
    if name == CALL:
        yield from _problems_of_call(tokens, position + 1)
    elif name in {"redis", "math"}:
        if not _is_sign(tokens, position + 1, "."):
            yield f"`{name}` may only be followed by `.`, so that this check sees what is used of it"
        elif name == "math" and tokens[position + 2].text in {"random", "randomseed"}:
            yield "math.random makes a script that cannot be repeated: pass random values in ARGV"
        elif name == "redis":
            yield from _problems_of_redis(tokens, position + 2)


def _problems_of_redis(tokens: list[Token], position: int) -> Iterator[str]:
    member = tokens[position].text
    if member not in REDIS_MEMBERS:
        yield f"redis.{member} is not in every server that we support"
    elif member in {"call", "pcall"}:
        yield from _problems_of_call(tokens, position + 1)


def _problems_of_call(tokens: list[Token], position: int) -> Iterator[str]:
    """Check what follows `call`, which must be the call of a literal command."""
    is_literal = (
        _is_sign(tokens, position, "(")
        and position + 2 < len(tokens)
        and tokens[position + 1].kind is Kind.STRING
        and (_is_sign(tokens, position + 2, ",") or _is_sign(tokens, position + 2, ")"))
    )
    if not is_literal:
        yield "a command must stand as a literal in the call, as in call('ZADD', ...)"
        return
    command = tokens[position + 1].text.upper()
    for reason, commands in FORBIDDEN_COMMANDS.items():
        if command in commands:
            yield f"{command} {reason}"


def _is_member(tokens: list[Token], position: int) -> bool:
    """Whether the name belongs to something else: `a.name`, `a:name`, or the field of a table `{name = 1}`."""
    is_after_dot = position > 0 and tokens[position - 1].kind is Kind.SIGN and tokens[position - 1].text in {".", ":"}
    is_field = (
        position > 0
        and tokens[position - 1].kind is Kind.SIGN
        and tokens[position - 1].text in {"{", ","}
        and _is_sign(tokens, position + 1, "=")
    )
    return is_after_dot or is_field


def _is_sign(tokens: list[Token], position: int, text: str) -> bool:
    return position < len(tokens) and tokens[position].kind is Kind.SIGN and tokens[position].text == text


def main() -> int:
    """Check the project; print what is wrong."""
    findings = check_scripts(SCRIPTS, load_source)
    for folder in PYTHON_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.parent != CHECKS:
                findings += [
                    Finding(str(path.relative_to(ROOT)), found.line, found.problem) for found in check_python(path)
                ]
    for finding in findings:
        print(finding)
    count = len(list(SCRIPTS.rglob("*.lua")))
    print(f"{len(findings)} findings" if findings else f"{count} Lua files are as they should be", file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
