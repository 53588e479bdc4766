"""The Unicorn engine as this simulator uses it; no other module knows Unicorn's binding.

Hooks on each memory access are not used: with one, Unicorn 2.1.4 skips instructions after IT
blocks. So what depends on the address alone (ldrd, ldm and vldr at an unaligned one) is seen where
the address is a peripheral's, whose accesses are calls, and not where it is a memory's.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Literal

_unicorn: Any = importlib.import_module("unicorn")
_arm: Any = importlib.import_module("unicorn.arm_const")
_library: Any = importlib.import_module("unicorn.unicorn_py3.unicorn").uclib

_NEVER = 0xFFFF_FFFE
"""An address that no instruction can stand at."""

PAGE = 0x400
"""Bytes; the smallest unit of mapping for this core."""

STACK_POINTER = int(_arm.UC_ARM_REG_SP)
CORE_REGISTERS: tuple[int, ...] = (
    *(int(_arm.UC_ARM_REG_R0) + index for index in range(13)),
    *(int(_arm.UC_ARM_REG_SP), int(_arm.UC_ARM_REG_LR), int(_arm.UC_ARM_REG_PC)),
)
"""r0 to r15."""

LINK_REGISTER = int(_arm.UC_ARM_REG_LR)
PROGRAM_COUNTER = int(_arm.UC_ARM_REG_PC)
PROGRAM_STATUS = int(_arm.UC_ARM_REG_XPSR)
ALL_REGISTERS: tuple[int, ...] = (
    *(_arm.UC_ARM_REG_R0 + index for index in range(13)),
    STACK_POINTER,
    LINK_REGISTER,
    PROGRAM_COUNTER,
    PROGRAM_STATUS,
    _arm.UC_ARM_REG_FPSCR,
    *(_arm.UC_ARM_REG_D0 + index for index in range(16)),
)
"""Everything that decides what the core does next, memory apart."""

_MODELS = {"cortex-m4": _arm.UC_CPU_ARM_CORTEX_M4, "cortex-m7": _arm.UC_CPU_ARM_CORTEX_M7}
_PERMISSIONS = {
    "rx": _unicorn.UC_PROT_READ | _unicorn.UC_PROT_EXEC,
    "rwx": _unicorn.UC_PROT_ALL,
}
Permissions = Literal["rx", "rwx"]

_READ = ctypes.CFUNCTYPE(
    ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_void_p
)
_WRITE = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint, ctypes.c_uint64, ctypes.c_void_p
)
ReadCallback = Callable[[int, int, int, int], int]
WriteCallback = Callable[[int, int, int, int, int], None]


class Access(Enum):
    """What an access that memory refuses wanted."""

    READ = "read from"
    WRITE = "written to"
    FETCH = "fetched as instructions from"


_WRITES = {_unicorn.UC_MEM_WRITE_UNMAPPED, _unicorn.UC_MEM_WRITE_PROT}
_FETCHES = {_unicorn.UC_MEM_FETCH_UNMAPPED, _unicorn.UC_MEM_FETCH_PROT}


class Engine:
    """A Cortex-M core that executes Thumb instructions from its own address space.

    Callbacks given to it must not raise.
    """

    def __init__(self, cpu: Literal["cortex-m4", "cortex-m7"]) -> None:
        self._uc = _unicorn.Uc(
            _unicorn.UC_ARCH_ARM, _unicorn.UC_MODE_THUMB | _unicorn.UC_MODE_MCLASS
        )
        self._uc.ctl_set_cpu_model(_MODELS[cpu])
        self._kept: list[object] = []

    def map(self, address: int, size: int, permissions: Permissions) -> None:
        """Map zeroed memory; address and size are multiples of ``PAGE``."""
        self._uc.mem_map(address, size, _PERMISSIONS[permissions])

    def protect(self, address: int, size: int, permissions: Permissions) -> None:
        """Change the permissions of mapped memory."""
        self._uc.mem_protect(address, size, _PERMISSIONS[permissions])

    def read_memory(self, address: int, size: int) -> bytes | None:
        """Return what memory holds; None where there is none."""
        try:
            return bytes(self._uc.mem_read(address, size))
        except _unicorn.UcError:
            return None

    def write_memory(self, address: int, data: bytes) -> None:
        """Write to mapped memory, whatever its permissions."""
        self._uc.mem_write(address, data)

    def read_register(self, register: int) -> int:
        """Return a core register's 32 bits, by Unicorn's number of it."""
        return int(self._uc.reg_read(register))

    def write_register(self, register: int, value: int) -> None:
        """Set a core register to 32 bits, by Unicorn's number of it."""
        self._uc.reg_write(register, value)

    def run(self, address: int) -> str:
        """Run from ``address``, bit 0 set, until stopped; return the engine's complaint or ''."""
        try:
            self._uc.emu_start(address, _NEVER)
        except _unicorn.UcError as error:
            return str(error)
        return ""

    def stop(self) -> None:
        """Stop before the next instruction."""
        self._uc.emu_stop()

    def map_callbacks(
        self, address: int, size: int, read: ReadCallback, write: WriteCallback
    ) -> None:
        """Map an address range whose accesses are calls.

        Args:
            address: first byte.
            size: bytes.
            read: called with (engine, offset, size, data); returns the value.
            write: called with (engine, offset, size, value, data).
        """
        # The binding's own wrapper makes each access about twice as slow.
        callbacks = _READ(read), _WRITE(write)
        self._kept.append(callbacks)
        pointers = [ctypes.cast(callback, ctypes.c_void_p) for callback in callbacks]
        self._check(
            _library.uc_mmio_map(self._uc._uch, address, size, pointers[0], None, pointers[1], None)
        )

    def hook_instructions(self, function: ctypes.c_void_p, cell: ctypes.Structure) -> None:
        """Call a C function (engine, address, size, cell) before each instruction.

        It is not called for instructions that an IT block skips.
        """
        self._kept.append(cell)
        self._check(
            _library.uc_hook_add(
                self._uc._uch,
                ctypes.byref(ctypes.c_size_t()),
                _unicorn.UC_HOOK_CODE,
                function,
                ctypes.cast(ctypes.byref(cell), ctypes.c_void_p),
                1,
                0,
            )
        )

    def hook_addresses(self, addresses: Iterable[int], callback: Callable[[int], None]) -> None:
        """Call with the address before the instruction at each of these; all others get slower."""

        def call(_uc: object, address: int, _size: int, _data: object) -> None:
            callback(address)

        for address in addresses:
            self._uc.hook_add(_unicorn.UC_HOOK_CODE, call, None, address, address)

    def hook_exceptions(self, callback: Callable[[int], None]) -> None:
        """Call with the engine's number when the core takes an exception."""
        self._uc.hook_add(_unicorn.UC_HOOK_INTR, lambda _uc, number, _data: callback(number))

    def hook_refused_accesses(self, callback: Callable[[Access, int, int, int], bool]) -> None:
        """Call with (access, address, size, value) when memory refuses; True: try again.

        The engine discards a write that it tries again.
        """

        def call(
            _uc: object, kind: int, address: int, size: int, value: int, _data: object
        ) -> bool:
            access = (
                Access.WRITE
                if kind in _WRITES
                else Access.FETCH
                if kind in _FETCHES
                else Access.READ
            )
            return callback(access, address, size, value)

        self._uc.hook_add(_unicorn.UC_HOOK_MEM_INVALID, call)

    @staticmethod
    def _check(status: int) -> None:
        if status != _unicorn.UC_ERR_OK:
            raise _unicorn.UcError(status)
