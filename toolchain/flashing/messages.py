"""Messages of the Apollo3's secure bootloader on its serial line: bytes to values and back.

A message is the CRC-32 (zlib's) of what follows, a word of length and type, and the payload; all
words are little-endian. The length counts the whole message. Source: ``uart_wired_update.py`` and
``am_defines.py`` of Ambiq's SDK.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from enum import IntEnum
from typing import ClassVar, Self

LONGEST_MESSAGE = 8192
"""Bytes of the bootloader's receive buffer."""

DATA_OVERHEAD = 12
LONGEST_DATA = LONGEST_MESSAGE - DATA_OVERHEAD

_PREAMBLE = struct.Struct("<II")
_INFO_WORDS = 16


class MessageError(ValueError):
    """The bytes are no message, or one that this side does not expect."""


class MessageType(IntEnum):
    """Low half of a message's second word."""

    HELLO = 0
    STATUS = 1
    OTA_DESCRIPTOR = 2
    UPDATE = 3
    ABORT = 4
    RECOVER = 5
    RESET = 6
    ACK = 7
    DATA = 8


class AckStatus(IntEnum):
    """What the bootloader thinks of a message."""

    SUCCESS = 0
    FAILURE = 1
    INVALID_INFO0 = 2
    CRC = 3
    SECURITY = 4
    TOO_BIG = 5
    UNKNOWN_MESSAGE = 6
    INVALID_ADDRESS = 7
    INVALID_OPERATION = 8
    INVALID_PARAMETER = 9
    SEQUENCE = 10
    TOO_MUCH_DATA = 11


@dataclass(frozen=True)
class Message:
    """A message whose payload is its fields, a word each."""

    kind: ClassVar[MessageType]

    def payload(self) -> bytes:
        """Return the bytes after length and type."""
        words = astuple(self)
        return struct.pack(f"<{len(words)}I", *words)

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Return the message with this payload.

        Raises:
            struct.error: it has another length.
        """
        return cls(*struct.unpack(f"<{len(fields(cls))}I", payload))


@dataclass(frozen=True)
class Hello(Message):
    """Asks for the bootloader's ``Status``."""

    kind = MessageType.HELLO


@dataclass(frozen=True)
class Status(Message):
    """Answer to ``Hello``.

    Attributes:
        version: of the bootloader.
        max_storage: bytes of an update that it can hold.
        status: its own, 0 when all is well.
        state: of its state machine.
        info: 16 words about the part.
    """

    kind = MessageType.STATUS
    version: int
    max_storage: int
    status: int
    state: int
    info: tuple[int, ...]

    def payload(self) -> bytes:
        """Return the bytes after length and type."""
        words = (self.version, self.max_storage, self.status, self.state, *self.info)
        return struct.pack(f"<{4 + _INFO_WORDS}I", *words)

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Return the message with this payload."""
        version, storage, status, state, *info = struct.unpack(f"<{4 + _INFO_WORDS}I", payload)
        return cls(version, storage, status, state, tuple(info))


@dataclass(frozen=True)
class OtaDescriptor(Message):
    """Flash page in which the bootloader notes what to install."""

    kind = MessageType.OTA_DESCRIPTOR
    address: int


@dataclass(frozen=True)
class Update(Message):
    """Announces an update of ``length`` bytes with this CRC-32.

    Attributes:
        crc: over the whole update.
        included: bytes of it in this message itself; never any here.
    """

    kind = MessageType.UPDATE
    length: int
    crc: int
    included: int = 0


@dataclass(frozen=True)
class Abort(Message):
    """Ends a transfer; the option 1 leaves the bootloader as well."""

    kind = MessageType.ABORT
    option: int


@dataclass(frozen=True)
class Reset(Message):
    """Restarts the part; option 1: all but the power is reset (POI), 2: as after power-on (POR)."""

    kind = MessageType.RESET
    option: int


@dataclass(frozen=True)
class Ack(Message):
    """Answer to every message but ``Hello``.

    Attributes:
        acknowledged: type of the message that is answered.
        status: an ``AckStatus``, or a number that is none.
        sequence: offset of the ``Data`` that is answered.
    """

    kind = MessageType.ACK
    acknowledged: int
    status: int
    sequence: int


@dataclass(frozen=True)
class Data(Message):
    """A piece of the update from the byte ``offset`` on, at most ``LONGEST_DATA`` bytes."""

    kind = MessageType.DATA
    offset: int
    piece: bytes

    def payload(self) -> bytes:
        """Return the bytes after length and type."""
        return struct.pack("<I", self.offset) + self.piece

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Return the message with this payload."""
        (offset,) = struct.unpack_from("<I", payload)
        return cls(offset, payload[4:])


_CLASSES: Mapping[int, type[Message]] = {
    each.kind: each for each in (Hello, Status, OtaDescriptor, Update, Abort, Reset, Ack, Data)
}


REPLY_LENGTHS: Mapping[int, int] = {MessageType.STATUS: 24 + 4 * _INFO_WORDS, MessageType.ACK: 20}
"""Bytes of each message that the bootloader sends, by type."""


def encode(message: Message) -> bytes:
    """Return the bytes of a message.

    Raises:
        MessageError: a number does not fit its word, or the data is too long.
    """
    try:
        payload = message.payload()
    except struct.error as error:
        raise MessageError(f"{message} does not fit its words") from error
    length = _PREAMBLE.size + len(payload)
    if length > LONGEST_MESSAGE:
        raise MessageError(f"a message of {length} bytes is longer than {LONGEST_MESSAGE}")
    body = struct.pack("<I", length << 16 | message.kind) + payload
    return struct.pack("<I", zlib.crc32(body)) + body


def decode(data: bytes) -> Message:
    """Return the message that ``data`` is, from its CRC to its last byte.

    Raises:
        MessageError: wrong length, CRC or type, or a payload that the type does not have.
    """
    if len(data) < _PREAMBLE.size:
        raise MessageError(f"{len(data)} bytes are no message")
    crc, word = _PREAMBLE.unpack_from(data)
    kind, length = word & 0xFFFF, word >> 16
    if length != len(data):
        raise MessageError(f"a message of {len(data)} bytes says that it has {length}")
    if length > LONGEST_MESSAGE:
        raise MessageError(f"a message of {length} bytes is longer than {LONGEST_MESSAGE}")
    if crc != zlib.crc32(data[4:]):
        raise MessageError("a message has the wrong CRC")
    if kind not in _CLASSES:
        raise MessageError(f"there is no message of type {kind}")
    try:
        return _CLASSES[kind].parse(data[_PREAMBLE.size :])
    except struct.error as error:
        raise MessageError(f"{length} bytes are no message of type {kind}") from error


class ReplyReader:
    """Finds the bootloader's messages in what a serial line delivers.

    Bytes that belong to no message, such as an application's text or a damaged message, are
    skipped: a message is taken where its type, its length and its CRC agree.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.skipped = 0

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        self._buffer += data

    def next(self) -> Message | None:
        """Return the next whole message, None while there is none."""
        while len(self._buffer) >= _PREAMBLE.size:
            _, word = _PREAMBLE.unpack_from(self._buffer)
            length = word >> 16
            if REPLY_LENGTHS.get(word & 0xFFFF) == length:
                if len(self._buffer) < length:
                    return None
                try:
                    message = decode(bytes(self._buffer[:length]))
                except MessageError:
                    pass
                else:
                    del self._buffer[:length]
                    return message
            del self._buffer[0]
            self.skipped += 1
        return None

    @property
    def has_rest(self) -> bool:
        """Whether bytes were skipped, or wait for more, since ``clear``."""
        return bool(self.skipped or self._buffer)

    def clear(self) -> None:
        """Forget what is there."""
        self._buffer.clear()
        self.skipped = 0
