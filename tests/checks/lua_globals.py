"""Finds the globals that a script reads and writes, in the code that the compiler of Lua 5.1 makes of it.

The compiler knows every scope, so nothing is guessed: a name that is no local and no upvalue becomes the instruction
GETGLOBAL or SETGLOBAL. `string.dump` hands the compiled function out; its form is small and fixed for 5.1, the version
that every Redis embeds.

Source: lopcodes.h, lundump.c and ldump.c of Lua 5.1.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import lupa.lua51

_GETGLOBAL = 5
_SETGLOBAL = 7
_OPCODE_MASK = 0x3F
_BX_SHIFT = 14

_NIL, _BOOLEAN, _NUMBER, _STRING = 0, 1, 3, 4

# signature, version 5.1, official format, little endian, sizes of int, size_t, instruction, number; numbers are floats
_HEADER = b"\x1bLua\x51\x00\x01\x04\x08\x04\x08\x00"

_DUMP = b"""
function(source, name)
  local compiled, problem = loadstring(source, name)
  if not compiled then return nil, problem end
  return string.dump(compiled)
end
"""


class CompileError(Exception):
    """Lua refused the script."""


@dataclass(frozen=True)
class GlobalUse:
    """One place where a script reads or writes a global."""

    name: str
    is_write: bool
    line: int


def globals_of(source: str, name: str) -> list[GlobalUse]:
    """List every use of a global in a script, in the order of its lines.

    Raises:
        CompileError: the script does not compile; the message holds the line.
    """
    runtime: Any = lupa.lua51.LuaRuntime(encoding=None)
    answer = runtime.eval(_DUMP)(source.encode(), b"@" + name.encode())
    if isinstance(answer, tuple):
        raise CompileError(answer[1].decode(errors="replace"))
    return sorted(_uses_in_chunk(answer), key=lambda use: use.line)


def _uses_in_chunk(chunk: bytes) -> Iterator[GlobalUse]:
    reader = _Reader(chunk)
    if reader.take(len(_HEADER)) != _HEADER:
        raise ValueError("compiled Lua of another version or machine: this check knows 5.1 on 64-bit little endian")
    yield from _uses_in_function(reader)


def _uses_in_function(reader: _Reader) -> Iterator[GlobalUse]:
    reader.string()  # the chunk's name
    reader.take(4 + 4 + 4)  # first line, last line, then four single bytes
    code = [reader.unsigned() for _ in range(reader.integer())]
    constants = [reader.constant() for _ in range(reader.integer())]
    for _ in range(reader.integer()):
        yield from _uses_in_function(reader)
    lines = [reader.integer() for _ in range(reader.integer())]
    for _ in range(reader.integer()):
        reader.string()  # a local and where it lives
        reader.take(4 + 4)
    for _ in range(reader.integer()):
        reader.string()  # an upvalue
    for instruction, line in zip(code, lines, strict=True):
        opcode = instruction & _OPCODE_MASK
        if opcode in {_GETGLOBAL, _SETGLOBAL}:
            name = constants[instruction >> _BX_SHIFT]
            yield GlobalUse(name=name, is_write=opcode == _SETGLOBAL, line=line)


class _Reader:
    """Reads the parts of compiled Lua one after the other."""

    def __init__(self, chunk: bytes) -> None:
        self._stream = io.BytesIO(chunk)

    def take(self, size: int) -> bytes:
        return self._stream.read(size)

    def integer(self) -> int:
        return int.from_bytes(self.take(4), "little", signed=True)

    def unsigned(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def string(self) -> str:
        size = int.from_bytes(self.take(8), "little")
        return self.take(size)[:-1].decode(errors="replace")

    def constant(self) -> str:
        """Read one constant; only the text of strings matters here."""
        kind = self.take(1)[0]
        if kind == _STRING:
            return self.string()
        if kind == _NUMBER:
            return repr(struct.unpack("<d", self.take(8))[0])
        if kind == _BOOLEAN:
            return repr(bool(self.take(1)[0]))
        if kind == _NIL:
            return "nil"
        raise ValueError(f"compiled Lua with a constant of the unknown kind {kind}")
