"""The Apollo3's secure bootloader on a pseudo-terminal, and faults of the line to it.

Written from the vendor's scripts and apart from ``toolchain.flashing``: both sides would otherwise
share a misreading.
"""

from __future__ import annotations

import os
import select
import struct
import threading
import tty
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

HELLO, STATUS, OTADESC, UPDATE, ABORT, RECOVER, RESET, ACK, DATA = range(9)
OK, CRC, SECURITY, TOO_BIG, UNKNOWN, ADDRESS, OPERATION, SEQUENCE, TOO_MUCH = (
    *(0, 3, 4, 5, 6, 7, 8, 10, 11),
)
FLASH_BYTES = 0x10_0000
RECEIVE_BUFFER = 8192
FLASH_KEY = 0x1234_4321

FaultKind = Literal[
    "lose request",
    "corrupt request",
    "lose reply",
    "corrupt reply",
    "truncate reply",
    "repeat reply",
    "repeat reply later",
    "late reply",
    "noise before reply",
]
FAULT_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)


@dataclass(frozen=True)
class Fault:
    """What happens to the ``index``-th message that the host sends, or to its reply."""

    kind: FaultKind
    index: int


def message(kind: int, payload: bytes) -> bytes:
    body = struct.pack("<I", (8 + len(payload)) << 16 | kind) + payload
    return struct.pack("<I", zlib.crc32(body)) + body


@dataclass
class Transfer:
    """An update that was announced."""

    length: int
    crc: int
    data: bytearray = field(default_factory=bytearray)


@dataclass
class Emulator:
    """A part whose bootloader listens.

    Attributes:
        max_storage: bytes that it can hold of an update.
        silent_from: index of the first message that it does not answer any more.
        refuse: status that it gives to a message, by the message's type.
        numbers_pieces: whether it says in its answers which piece they are for.
        received: types of the messages that arrived whole, in order.
    """

    master: int
    max_storage: int = 0x4_8060
    faults: tuple[Fault, ...] = ()
    silent_from: int | None = None
    refuse: dict[int, int] = field(default_factory=dict)
    numbers_pieces: bool = True
    chatter: bytes = b""
    flash: bytearray = field(default_factory=lambda: bytearray(b"\xff" * FLASH_BYTES))
    received: list[int] = field(default_factory=list)
    descriptor: int | None = None
    install_at: int | None = None
    was_reset: bool = False
    has_installed: bool = False
    staged: list[int] = field(default_factory=list)
    _transfer: Transfer | None = None
    _held: bytes = b""
    _count: int = 0

    def run(self, stop: Callable[[], bool]) -> None:
        buffer = bytearray()
        if self.chatter:
            os.write(self.master, self.chatter)
        while not stop():
            if not select.select([self.master], [], [], 0.02)[0]:
                continue
            try:
                buffer += os.read(self.master, 65536)
            except OSError:
                return
            while len(buffer) >= 8:
                length = struct.unpack_from("<H", buffer, 6)[0]
                if not 8 <= length <= RECEIVE_BUFFER:
                    buffer.clear()
                    break
                if len(buffer) < length:
                    break
                data = bytes(buffer[:length])
                del buffer[:length]
                self._take(data)

    def _take(self, data: bytes) -> None:
        index, self._count = self._count, self._count + 1
        kinds = {fault.kind for fault in self.faults if fault.index == index}
        if self.silent_from is not None and index >= self.silent_from:
            return
        if self._held:
            self._send(self._held)
            self._held = b""
        if "lose request" in kinds:
            return
        if "corrupt request" in kinds:
            at = len(data) // 2
            data = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        reply = self._answer(data)
        if "lose reply" in kinds:
            return
        if "corrupt reply" in kinds:
            reply = reply[:12] + bytes([reply[12] ^ 1]) + reply[13:]
        if "truncate reply" in kinds:
            reply = reply[:-3]
        if "noise before reply" in kinds:
            reply = b"\x00\xffx_value: 1.5\r\n" + reply
        if "late reply" in kinds:
            self._held = reply
            return
        if "repeat reply later" in kinds:
            self._held = reply
        self._send(reply * 2 if "repeat reply" in kinds else reply)

    def _send(self, data: bytes) -> None:
        os.write(self.master, data)

    def _answer(self, data: bytes) -> bytes:
        crc, word = struct.unpack_from("<II", data)
        kind, payload = word & 0xFFFF, data[8:]
        if crc != zlib.crc32(data[4:]):
            return self._ack(0xFFFF, CRC, 0xFFFF_FFFF)
        self.received.append(kind)
        if kind == HELLO:
            status = struct.pack("<4I", 0x0102, self.max_storage, self.refuse.get(HELLO, 0), 1)
            return message(STATUS, status + bytes(64))
        sequence = struct.unpack_from("<I", payload)[0] if kind == DATA else 0
        result = self.refuse.get(kind)
        if result is None:
            result = self._do(kind, payload)
        return self._ack(kind, result, sequence if self.numbers_pieces else 0)

    def _ack(self, kind: int, status: int, sequence: int) -> bytes:
        return message(ACK, struct.pack("<III", kind, status, sequence))

    def _do(self, kind: int, payload: bytes) -> int:
        if kind == OTADESC:
            (self.descriptor,) = struct.unpack("<I", payload)
            return OK if self.descriptor == 0xF_E000 else ADDRESS
        if kind == UPDATE:
            length, crc, piggybacked = struct.unpack("<III", payload)
            if piggybacked or self.descriptor is None:
                return OPERATION
            if length > self.max_storage:
                return TOO_BIG
            self._transfer = Transfer(length, crc)
            return OK
        if kind == DATA:
            return self._store(struct.unpack_from("<I", payload)[0], payload[4:])
        if kind == RESET:
            self.was_reset = True
            self._install()
            return OK
        return UNKNOWN

    def _store(self, offset: int, piece: bytes) -> int:
        transfer = self._transfer
        if transfer is None:
            return OPERATION
        if offset != len(transfer.data):
            return SEQUENCE
        if offset + len(piece) > transfer.length:
            return TOO_MUCH
        transfer.data += piece
        if len(transfer.data) < transfer.length:
            return OK
        data = bytes(transfer.data)
        if zlib.crc32(data) != transfer.crc:
            self._transfer = None
            return CRC
        return self._stage(data)

    def _stage(self, data: bytes) -> int:
        first, kind, options, key, address, length = struct.unpack_from("<I76xBBxxIII", data)
        payload = data[96:]
        if first != 0x0800_0800 or key != FLASH_KEY or kind != 6:
            return SECURITY
        if length != len(payload) or address % 0x2000 or address < 0xC000:
            return ADDRESS
        if address + length > 0xF_E000:
            return ADDRESS
        self.flash[address : address + length] = payload
        self.staged.append(address)
        if options & 1:
            self.install_at = address
        return OK

    def _install(self) -> None:
        if self.install_at is None:
            return
        blob = self.flash[self.install_at :]
        word, crc = struct.unpack_from("<II", blob)
        length = word & 0x7F_FFFF
        if word >> 24 != 0xCB or crc != zlib.crc32(blob[8:length]):
            return
        (address,) = struct.unpack_from("<I", blob, 112)
        self.flash[address : address + length - 128] = blob[128:length]
        self.has_installed = True


@contextmanager
def emulated(**settings: object) -> Iterator[tuple[Emulator, str]]:
    """Run an emulator; yields it and the path of its serial port."""
    master, slave = os.openpty()
    tty.setraw(master)
    tty.setraw(slave)
    emulator = Emulator(master, **settings)  # type: ignore[arg-type]
    finished = threading.Event()
    thread = threading.Thread(target=emulator.run, args=(finished.is_set,), daemon=True)
    thread.start()
    try:
        yield emulator, os.ttyname(slave)
    finally:
        finished.set()
        thread.join()
        os.close(slave)
        os.close(master)
