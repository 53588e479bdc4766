"""Sends a wired update to the Apollo3's secure bootloader.

Order of messages, 12 seconds for an answer and up to three repetitions: ``uart_wired_update.py`` of
Ambiq's SDK. What is repeated, and when, is this module's own: that script gives up where an answer
is lost or damaged.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol, TypeVar

from toolchain.errors import FlashError
from toolchain.firmware.formats.ambiq import split_update
from toolchain.flashing.messages import (
    LONGEST_DATA,
    Ack,
    AckStatus,
    Data,
    Hello,
    Message,
    OtaDescriptor,
    ReplyReader,
    Reset,
    Status,
    Update,
    encode,
)

RETRIES = 3
"""How often a message is sent again."""

OTA_DESCRIPTOR_ADDRESS = 0x000F_E000
"""The flash page in which the bootloader notes the update; its default, at the end of the flash."""

POWER_ON_INTERRUPTIBLE = 1
"""Option of ``Reset``: POI, after which the bootloader installs the update."""

_T = TypeVar("_T", bound=Message)

Progress = Callable[[int, int], None]
"""Called with the bytes that the bootloader has acknowledged, and with all bytes."""

EXPLANATIONS = {
    AckStatus.FAILURE: "the bootloader failed, without saying why",
    AckStatus.INVALID_INFO0: "the part's INFO0 settings are not valid",
    AckStatus.CRC: "what arrived has another CRC than what was sent",
    AckStatus.SECURITY: "the part asks for a signed or encrypted image",
    AckStatus.TOO_BIG: "the update is larger than the bootloader can hold",
    AckStatus.UNKNOWN_MESSAGE: "the bootloader does not know this kind of message",
    AckStatus.INVALID_ADDRESS: "the bootloader does not write to this address",
    AckStatus.INVALID_OPERATION: "the bootloader does not expect this message now",
    AckStatus.INVALID_PARAMETER: "a parameter of the message is not valid",
    AckStatus.SEQUENCE: "the bootloader expected another piece of the update",
    AckStatus.TOO_MUCH_DATA: "more bytes arrived than were announced",
}

_SILENT_ADVICE = (
    "hold button 14, press and release RST, and keep holding button 14 until the upload has begun; "
    "check the adapter's wires (GRN to GRN, BLK to BLK, 3.3 V)"
)
_RETRY_ADVICE = (
    "reset the board into its bootloader and flash again; a shorter cable or another adapter helps "
    "where the line is noisy at this speed"
)


class Line(Protocol):
    """A serial line, as pySerial has it.

    ``read`` returns what has arrived, and nothing after a short while in which nothing arrives.
    """

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes."""

    def write(self, data: bytes, /) -> int | None:
        """Send ``data``."""


@dataclass(frozen=True)
class Timing:
    """How long to wait.

    Attributes:
        reply_seconds: for an answer; the bootloader writes whole pages of flash meanwhile.
        hello_seconds: for the answer to a greeting, which is repeated until someone answers.
        quiet_seconds: after bytes that are no answer, until they are taken for a damaged one.
    """

    reply_seconds: float = 12.0
    hello_seconds: float = 2.0
    quiet_seconds: float = 0.5


@dataclass(frozen=True)
class UpdateSummary:
    """A finished update.

    Attributes:
        version: of the bootloader.
        parts: sent one after the other.
        repeated: messages that had to be sent again.
        reset_acknowledged: whether the board said that it restarts.
    """

    version: int
    parts: int
    repeated: int
    reset_acknowledged: bool


class Bootloader:
    """The bootloader at the other end of a line.

    Args:
        line: an open serial line.
        timing: how long to wait.
    """

    def __init__(self, line: Line, timing: Timing | None = None) -> None:
        self._line = line
        self._timing = timing or Timing()
        self._reader = ReplyReader()
        self._numbers_pieces: bool | None = None
        self.repeated = 0

    def update(self, update: bytes, progress: Progress) -> UpdateSummary:
        """Send a wired update, last part first, and restart the part.

        Raises:
            FlashError: no answer, a refusal, or the update is larger than the bootloader can hold.
        """
        parts = split_update(update)
        status = self._hello()
        largest = max(map(len, parts))
        if largest > status.max_storage:
            raise FlashError(
                f"the update has a part of {largest:,} bytes",
                why=f"the bootloader says that it can hold {status.max_storage:,}",
                next_step="make the firmware smaller, or write its .bin file with a debug probe",
            )
        self._acknowledged(OtaDescriptor(OTA_DESCRIPTOR_ADDRESS))
        done = 0
        for part in reversed(parts):
            self._acknowledged(Update(len(part), zlib.crc32(part)))
            for offset in range(0, len(part), LONGEST_DATA):
                piece = part[offset : offset + LONGEST_DATA]
                self._acknowledged(Data(offset, piece))
                done += len(piece)
                progress(done, len(update))
        return UpdateSummary(status.version, len(parts), self.repeated, self._restart())

    def _hello(self) -> Status:
        """Greet the bootloader until it answers: somebody may be about to press its buttons."""
        status = None
        patience = self._timing.reply_seconds * (RETRIES + 1)
        end = time.monotonic() + patience
        while status is None and time.monotonic() < end:
            self._reader.clear()
            self._line.write(encode(Hello()))
            status = self._wait(Status, lambda _: _Fit.YES, self._timing.hello_seconds)
        if status is None:
            raise FlashError(
                f"the board's bootloader did not answer within {patience:.0f} seconds",
                why="it runs only while button 14 is held at reset; or this is another port",
                next_step=_SILENT_ADVICE,
            )
        if status.status:
            raise FlashError(
                f"the bootloader reports the status {status.status}",
                why=_explain(status.status),
                next_step=_RETRY_ADVICE,
            )
        return status

    def _restart(self) -> bool:
        """Restart the part; False where it did not say so, for it may have restarted at once."""
        return self._status_of(Reset(POWER_ON_INTERRUPTIBLE)) is not None

    def _acknowledged(self, message: Message) -> None:
        """Send a message until it is acknowledged.

        Raises:
            FlashError: it is refused, or not answered.
        """
        if self._status_of(message) is None:
            raise FlashError(
                f"the bootloader stopped answering: no reply to {_name(message)}",
                why=f"it was sent {RETRIES + 1} times",
                next_step=_RETRY_ADVICE,
            )

    def _status_of(self, message: Message) -> AckStatus | None:
        """Send a message until it arrives; None when nothing comes back.

        Raises:
            FlashError: it is refused.
        """
        before = self.repeated
        status = AckStatus.CRC.value
        for _ in range(RETRIES + 1):
            ack = self._exchange(message, Ack, lambda ack: self._fit(ack, message))
            if ack is None:
                return None
            status = ack.status
            # It may have this piece already, if the answer to the first copy was lost. The CRC of
            # the whole update is checked by the bootloader in any case.
            has_it = status == AckStatus.SEQUENCE and self.repeated > before
            if status == AckStatus.SUCCESS or has_it:
                return AckStatus.SUCCESS
            if status != AckStatus.CRC:
                break
            self.repeated += 1
        raise FlashError(
            f"the bootloader refused {_name(message)}: {_explain(status)}",
            why=f"its status is {status}",
            next_step=_RETRY_ADVICE,
        )

    def _fit(self, ack: Ack, message: Message) -> _Fit:
        """Return whether an acknowledgement is the answer to the message that was just sent.

        It may also be a late one to an earlier message, or to an earlier copy of a piece. A piece
        is told by its number, if the bootloader fills that in, which its documents leave open.
        """
        if ack.status == AckStatus.CRC:
            # It cannot know what the damaged message was.
            return _Fit.YES
        if ack.acknowledged != message.kind:
            return _Fit.NO
        if not isinstance(message, Data):
            return _Fit.YES
        if ack.sequence == message.offset:
            if message.offset:
                self._numbers_pieces = True
            return _Fit.YES
        if self._numbers_pieces is None:
            return _Fit.PERHAPS
        return _Fit.NO if self._numbers_pieces or self.repeated else _Fit.YES

    def _exchange(self, message: Message, kind: type[_T], fit: Callable[[_T], _Fit]) -> _T | None:
        """Send a message and return its answer; None when there is none after all repetitions."""
        data = encode(message)
        for attempt in range(RETRIES + 1):
            if attempt:
                self.repeated += 1
            self._reader.clear()
            self._line.write(data)
            answer = self._wait(kind, fit, self._timing.reply_seconds)
            if answer is not None:
                return answer
        return None

    def _wait(self, kind: type[_T], fit: Callable[[_T], _Fit], seconds: float) -> _T | None:
        now = time.monotonic()
        end, quiet_since = now + seconds, now
        candidate: _T | None = None
        while now < end:
            data = self._line.read(1)
            now = time.monotonic()
            if data:
                quiet_since = now
                self._reader.feed(data)
                while (message := self._reader.next()) is not None:
                    if not isinstance(message, kind):
                        continue
                    fits = fit(message)
                    if fits is _Fit.YES:
                        return message
                    if fits is _Fit.PERHAPS:
                        candidate = message
            elif now - quiet_since >= self._timing.quiet_seconds:
                if candidate is not None:
                    # No better one has come: this bootloader does not number its answers.
                    self._numbers_pieces = False
                    return candidate
                if self._reader.has_rest:
                    return None
        return None


class _Fit(Enum):
    """Whether a message is the answer that is waited for."""

    YES = auto()
    NO = auto()
    PERHAPS = auto()


def _explain(status: int) -> str:
    if status in EXPLANATIONS:
        return EXPLANATIONS[AckStatus(status)]
    return f"{status} is none of its documented status codes"


def _name(message: Message) -> str:
    if isinstance(message, Data):
        return f"the bytes from {message.offset:,} on"
    return {
        OtaDescriptor: "the place of its descriptor",
        Update: "the announcement of the update",
        Reset: "the request to restart",
    }.get(type(message), "a message")
