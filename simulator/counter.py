"""Counts executed instructions exactly, at nearly the speed of not counting.

Unicorn calls a hook before every instruction. The hook here is a dozen machine instructions of the
host: it adds one to a counter, notes the address, and calls Python only when the counter reaches a
limit or the instruction stands at a marked address. Where the host has no such code, or forbids
executable memory, a Python function does the same, a hundred times slower.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable

from simulator.engine import Engine

# Offsets in the cell: 0 count, 8 limit, 16 mark, 24 address of the function to call, 32 last.
# The hook is called with (engine, address, size, cell).
HOST_CODE = {
    # mov rax,[rcx]; cmp rax,[rcx+8]; je 1f; cmp rsi,[rcx+16]; je 1f; inc rax; mov [rcx],rax
    # mov [rcx+32],rsi; ret; 1: jmp [rcx+24]
    "x86_64": bytes.fromhex("488b01 483b4108 7411 483b7110 740b 48ffc0 488901 48897120 c3 ff6118"),
    # ldr x9,[x3]; ldr x10,[x3,#8]; cmp x9,x10; b.eq 1f; ldr x10,[x3,#16]; cmp x1,x10; b.eq 1f
    # add x9,x9,#1; str x9,[x3]; str x1,[x3,#32]; ret; 1: ldr x10,[x3,#24]; br x10
    "aarch64": bytes.fromhex(
        "690040f9 6a0440f9 3f010aeb 00010054 6a0840f9 3f000aeb a0000054"
        "29050091 690000f9 611000f9 c0035fd6 6a0c40f9 40011fd6"
    ),
}
NO_MARK = (1 << 64) - 1

_HOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p)
_PROT_READ_EXEC = 1 | 4
_MAP_PRIVATE = 2


class _Cell(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_uint64),
        ("limit", ctypes.c_uint64),
        ("mark", ctypes.c_uint64),
        ("function", ctypes.c_void_p),
        ("last", ctypes.c_uint64),
    )


class InstructionCounter:
    """The hook, its counter and its two reasons to call Python.

    Args:
        on_event: called with the address of an instruction that is about to run, when ``count``
            equals ``limit`` or the address equals ``mark``. Must return whether the instruction
            will run, and must not raise.
        native: whether host code may be used.

    Attributes:
        count: instructions executed so far.
        limit: call ``on_event`` when ``count`` is this.
        mark: address before whose instruction ``on_event`` is called.
        last: address of the last instruction that was counted, 0 before the first.
    """

    def __init__(self, on_event: Callable[[int], bool], *, native: bool = True) -> None:
        self._cell = cell = _Cell(0, 0, NO_MARK, None, 0)

        def event(_engine: int, address: int, _size: int, _cell: int) -> None:
            if on_event(address):
                cell.count += 1
                cell.last = address

        def every_instruction(engine: int, address: int, size: int, at: int) -> None:
            if cell.count == cell.limit or address == cell.mark:
                event(engine, address, size, at)
            else:
                cell.count += 1
                cell.last = address

        code = _executable_copy(HOST_CODE.get(_host(), b"")) if native else None
        self.is_native = code is not None
        self._callback = _HOOK(event if self.is_native else every_instruction)
        callback = ctypes.cast(self._callback, ctypes.c_void_p)
        cell.function = callback.value
        self._hook = callback if code is None else ctypes.c_void_p(code)

    @property
    def count(self) -> int:
        """Instructions executed so far."""
        return int(self._cell.count)

    @property
    def limit(self) -> int:
        """Count at which ``on_event`` is called."""
        return int(self._cell.limit)

    @limit.setter
    def limit(self, value: int) -> None:
        self._cell.limit = value

    @property
    def mark(self) -> int:
        """Address at which ``on_event`` is called."""
        return int(self._cell.mark)

    @mark.setter
    def mark(self, value: int) -> None:
        self._cell.mark = value

    @property
    def last(self) -> int:
        """Address of the last instruction that was counted."""
        return int(self._cell.last)

    def attach(self, engine: Engine) -> None:
        """Count what ``engine`` executes."""
        engine.hook_instructions(self._hook, self._cell)


def _host() -> str:
    if sys.platform != "linux":
        return ""
    machine = platform.machine()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine.lower(), machine)


def _executable_copy(code: bytes) -> int | None:
    """Return the address of an executable, unwritable, never freed copy; None if not possible."""
    if not code:
        return None
    if code in _copies:
        return _copies[code]
    try:
        descriptor = os.memfd_create("instruction-counter")
    except (AttributeError, OSError):
        return None
    try:
        os.write(descriptor, code)
        libc = ctypes.CDLL(None)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = (
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_long,
        )
        # A file's pages: the kernel makes the instruction cache see them when it maps them.
        address = libc.mmap(None, len(code), _PROT_READ_EXEC, _MAP_PRIVATE, descriptor, 0)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if address is None or address == ctypes.c_void_p(-1).value:
        return None
    _copies[code] = int(address)
    return _copies[code]


_copies: dict[bytes, int] = {}
