"""The check of the Lua scripts: it must find what it is there for, and nothing in what is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.checks.lua_globals import CompileError, GlobalUse, globals_of
from tests.checks.lua_lint import SCRIPTS, check_python, check_scripts
from tests.checks.lua_tokens import Kind, tokens_of
from tq_core.keyspace.script_loader import load_source, script_names

PRELUDE = "local call = redis.call\n"
INCLUDE = re.compile(r"^--@include (\w+)$", re.MULTILINE)


def problems_of(folder: Path, script: str, *, header: str = "-- one: does one thing.\n", **includes: str) -> list[str]:
    """Check a folder with one script and the parts named; each part is put in where the script says so."""
    (folder / "includes").mkdir()
    (folder / "one.lua").write_text(header + script)
    for name, text in includes.items():
        (folder / "includes" / f"{name}.lua").write_text(text)

    def compose(name: str) -> str:
        whole = (folder / f"{name}.lua").read_text()
        return INCLUDE.sub(lambda part: (folder / "includes" / f"{part[1]}.lua").read_text(), whole)

    return [str(finding).removeprefix(f"{folder.name}/") for finding in check_scripts(folder, compose)]


@pytest.mark.parametrize(
    "script",
    [
        PRELUDE + "return call('ZADD', KEYS[1], 1, ARGV[1])",
        "local Q, call = KEYS[1], redis.call\nreturn call('GET', Q .. 'x')",
        "return redis.call('TIME')",
        'return redis.pcall("TIME")[1]',
        PRELUDE + "local function wake(...) call('ZADD', ...) end\nwake('k', 0, '0')",
        PRELUDE + "local t = {call = 1}\nreturn t.call + call('DBSIZES')",
        "-- redis.call('KEYS', '*') in a comment\nreturn 'redis.call(KEYS)'",
        "--[==[ redis.call('KEYS', '*') ]] ]==]\nreturn [[call(x)]]",
        "for i, v in ipairs(KEYS) do local bit = v; if bit then return i end end",
        "local function f(a, ...) local struct = {...}; return struct[a] end\nreturn f(1, 2)",
        "return redis.error_reply('ERR \\'call\\'')",
        "return cjson.encode({math.floor(1.5), #ARGV, 0x1F, 1e5, 'a' .. 'b'})",
    ],
)
def test_a_good_script_passes(tmp_path: Path, script: str) -> None:
    assert problems_of(tmp_path, script) == []


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("x = 1", "one.lua:2: writes the global x: say `local`"),
        ("local function f() local y = 1; z = y end f()", "one.lua:2: writes the global z"),
        ("function helper() end", "one.lua:2: writes the global helper"),
        ("KEYS = {}", "one.lua:2: writes the global KEYS"),
        ("do local a = 1 end\nreturn a", "one.lua:3: reads a, which is no local"),
        ("local b = b\nreturn b", "one.lua:2: reads b"),
        ("repeat local c = 1 until c\nfor d = 1, 2 do end\nreturn d", "one.lua:4: reads d"),
        ("return function() return function() return later end end\n", "one.lua:2: reads later"),
        ("return _G", "reads _G"),
        ("return setfenv(1, {})", "reads setfenv"),
        ("return loadstring('return 1')", "reads loadstring"),
        ("return cmsgpack.pack(1)", "uses cmsgpack: fakeredis lacks it"),
        ("return struct.pack('>I', 1)", "uses struct: fakeredis lacks it"),
        ("return bit.band(1, 2)", "uses bit: fakeredis lacks it"),
        ("return os.time()", "uses os: the time is"),
    ],
)
def test_a_global_is_found(tmp_path: Path, script: str, problem: str) -> None:
    (found,) = problems_of(tmp_path, script)

    assert problem in found


@pytest.mark.parametrize(
    "command",
    ["KEYS", "SCAN", "FLUSHALL", "FLUSHDB", "SCRIPT", "EVAL", "EVALSHA", "DEBUG", "CONFIG", "FUNCTION", "SHUTDOWN"],
)
@pytest.mark.parametrize("way", ["redis.call('{}', 'x')", "redis.pcall('{}')", PRELUDE + "call('{}', 'x')"])
def test_a_forbidden_command_is_found(tmp_path: Path, way: str, command: str) -> None:
    (found,) = problems_of(tmp_path, way.format(command))

    assert command in found


def test_a_forbidden_command_is_found_in_small_letters(tmp_path: Path) -> None:
    assert "KEYS walks the whole keyspace" in problems_of(tmp_path, "return redis.call('keys', '*')")[0]


@pytest.mark.parametrize(
    "script",
    [
        "return redis.call(ARGV[1])",
        "return redis.call('K' .. 'EYS')",
        "return redis.call 'TIME'",
        "return redis.call(#ARGV == 1 and 'GET' or 'KEYS', 'x')",
        "return pcall(redis.call, ARGV[1])",
        "local other = redis.call\nreturn other(ARGV[1])",
        "local a, call = redis.call\nreturn a(ARGV[1], call)",
        "local call, a = redis.call, redis.call\nreturn a(ARGV[1], call)",
        "local a, call = redis.call, redis.call\nreturn a(ARGV[1], call)",
        PRELUDE + "local other = call\nreturn other(ARGV[1])",
        PRELUDE + "return call(ARGV[1])",
        PRELUDE + "return pcall(call, ARGV[1])",
    ],
)
def test_a_command_that_cannot_be_read_is_found(tmp_path: Path, script: str) -> None:
    assert any("must stand as a literal" in found for found in problems_of(tmp_path, script))


@pytest.mark.parametrize(
    "script",
    [
        "local r = redis\nreturn r.call(ARGV[1])",
        "return redis['call']('KEYS', '*')",
        "local m = math\nreturn m.random()",
    ],
)
def test_hiding_a_library_behind_another_name_is_found(tmp_path: Path, script: str) -> None:
    assert "may only be followed by `.`" in problems_of(tmp_path, script)[0]


@pytest.mark.parametrize("member", ["random()", "randomseed(1)"])
def test_chance_in_a_script_is_found(tmp_path: Path, member: str) -> None:
    assert "cannot be repeated" in problems_of(tmp_path, f"return math.{member}")[0]


def test_a_function_that_only_newer_servers_have_is_found(tmp_path: Path) -> None:
    assert "redis.setresp is not in every server" in problems_of(tmp_path, "redis.setresp(3)")[0]


@pytest.mark.parametrize(
    "header", ["", "-- two: does one thing.\n", "-- one\n", "--one: does one thing.\n", "-- one: \n"]
)
def test_a_missing_header_is_found(tmp_path: Path, header: str) -> None:
    assert problems_of(tmp_path, "return 1", header=header) == ["one.lua:1: must begin with the line `-- one: effect`"]


def test_a_shebang_line_is_found(tmp_path: Path) -> None:
    assert any("shebang" in found for found in problems_of(tmp_path, "return 1", header="#!lua name=tq\n"))


def test_a_script_that_does_not_compile_is_found(tmp_path: Path) -> None:
    (found,) = problems_of(tmp_path, "if true then return 1")

    assert "does not compile" in found
    assert "'end' expected" in found


def test_a_part_is_checked_where_it_is_included(tmp_path: Path) -> None:
    (found,) = problems_of(
        tmp_path, "--@include part\nreturn shared", part="-- part: shares.\nlocal shared = missing\n"
    )

    assert found.startswith("one.lua:3: reads missing")
    assert "local shared = missing" in found


def test_the_words_of_a_part_are_checked_in_its_own_file(tmp_path: Path) -> None:
    (found,) = problems_of(tmp_path, "--@include part", part="-- part: walks.\nredis.call('SCAN', 0)\n")

    assert found == "includes/part.lua:2: SCAN walks the whole keyspace"


def test_a_part_that_nobody_includes_is_found(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "return 1", part="-- part: idles.\n") == [
        "includes/part.lua:1: is included by no script"
    ]


def test_a_part_that_is_missing_is_found(tmp_path: Path) -> None:
    (found,) = problems_of(tmp_path, "--@include part\nreturn 1")

    assert "includes what is not there" in found


def test_an_empty_folder_is_no_success(tmp_path: Path) -> None:
    assert len(check_scripts(tmp_path, str)) == 1


@pytest.mark.parametrize("line", ["redis.call('GET', k)", "x = 'return redis.pcall( ...)'", "redis.call  ('GET')"])
def test_lua_in_python_is_found(tmp_path: Path, line: str) -> None:
    path = tmp_path / "script.py"
    path.write_text(f"import x\n{line}\n")

    (found,) = check_python(path)

    assert found.line == 2


def test_python_that_only_speaks_of_redis_passes(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text("redis.callback(1)\nredis.Redis().get('call(')\n")

    assert list(check_python(path)) == []


def test_the_compiler_knows_every_scope() -> None:
    source = "local a = 1\nlocal function f(b) return a + b + c end\nd = f(2)\n"

    assert globals_of(source, "scopes") == [
        GlobalUse(name="c", is_write=False, line=2),
        GlobalUse(name="d", is_write=True, line=3),
    ]


def test_a_constant_of_every_kind_is_read() -> None:
    source = "local t = {nil, true, false, 1.5, 'text', [1] = 2}\nlocal u = t.x == nil or t.y == true\nlast = u"

    assert globals_of(source, "constants") == [GlobalUse(name="last", is_write=True, line=3)]


def test_the_compiler_says_where_it_stopped() -> None:
    with pytest.raises(CompileError, match=r"^broken:2: "):
        globals_of("local a = 1\nlocal = 2", "broken")


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("a.b:c()", ["a", ".", "b", ":", "c", "(", ")"]),
        ('a==\'b\' ~= "c\\"d"', ["a", "==", "b", "~=", 'c\\"d']),
        ("x--[[ y\n ]]z -- w", ["x", "z"]),
        ("[=[ ]] ]=] ..", [" ]] ", ".."]),
        ("t[1]=#u%2", ["t", "[", "1", "]", "=", "#", "u", "%", "2"]),
        ("...", ["..."]),
    ],
)
def test_source_is_cut_into_tokens(source: str, texts: list[str]) -> None:
    assert [token.text for token in tokens_of(source)] == texts


def test_tokens_know_their_lines() -> None:
    tokens = list(tokens_of("a --[[\n\n]] b\n'c\\\nd' e"))

    assert [(token.text, token.line) for token in tokens] == [("a", 1), ("b", 3), ("c\\\nd", 4), ("e", 5)]
    assert tokens[2].kind is Kind.STRING


@pytest.mark.parametrize("source", ["a = 'open", "a = [[open", "--[[open", "a ? b"])
def test_what_is_no_lua_is_an_error(source: str) -> None:
    with pytest.raises(ValueError, match="line 1: "):
        list(tokens_of(source))


def test_the_scripts_of_the_queue_layer_pass() -> None:
    assert script_names()
    assert check_scripts(SCRIPTS, load_source) == []
