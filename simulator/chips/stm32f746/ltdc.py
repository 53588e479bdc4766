"""LTDC: turns a frame buffer into what the panel shows, if timing, pins and memory are right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from simulator.registers import Peripheral
from simulator.request import Screen
from simulator.rules import RuleBrokenError
from toolchain.boards import Blanking, Display

LARGEST_CLOCK_ERROR = 0.05
"""Of the panel's pixel clock: the picture's rate stays within 57 to 63 a second."""

_SSCR, _BPCR, _AWCR, _TWCR, _GCR, _SRCR, _BCCR = 0x08, 0x0C, 0x10, 0x14, 0x18, 0x24, 0x2C
_LTDCEN = 1 << 0
_POLARITIES = 0xF000_0000
_IMR, _VBR = 1 << 0, 1 << 1

_LAYER1 = 0x84
_CR, _WHPCR, _WVPCR, _PFCR, _CACR, _DCCR, _BFCR = (
    *(_LAYER1 + offset for offset in (0x00, 0x04, 0x08, 0x10, 0x14, 0x18, 0x1C)),
)
_CFBAR, _CFBLR, _CFBLNR, _CLUTWR = (*(_LAYER1 + offset for offset in (0x28, 0x2C, 0x30, 0x40)),)
_LEN, _COLKEN, _CLUTEN = 1 << 0, 1 << 1, 1 << 4
_L8 = 5
_OPAQUE = 0xFF
_BLENDINGS = {0x405, 0x607}
_SHADOWED = {
    _CR: ("L1CR", 0x13, 0),
    _WHPCR: ("L1WHPCR", 0x0FFF_0FFF, 0),
    _WVPCR: ("L1WVPCR", 0x07FF_07FF, 0),
    _PFCR: ("L1PFCR", 0x7, 0),
    _CACR: ("L1CACR", 0xFF, 0),
    _DCCR: ("L1DCCR", 0xFFFF_FFFF, 0),
    _BFCR: ("L1BFCR", 0x707, 0x607),
    _CFBAR: ("L1CFBAR", 0xFFFF_FFFF, 0),
    _CFBLR: ("L1CFBLR", 0x1FFF_1FFF, 0),
    _CFBLNR: ("L1CFBLNR", 0x7FF, 0),
}
"""Registers of layer 1 that take effect at a reload: name, bits, value after reset."""


@dataclass(frozen=True)
class Panel:
    """The controller's place in the chip and on the board.

    Attributes:
        display: the panel as the board describes it; None: nothing is connected.
        pixel_clock: returns the clock of the pixels in Hz; 0: there is none.
        pins_problem: returns why a signal does not reach the panel, and where that was written.
        switches_problem: returns why panel or backlight is off, and where that was written.
        read_memory: returns bytes of memory; None where there is none.
        is_cached: whether what the core writes may stay in its data cache.
    """

    display: Display | None
    pixel_clock: Callable[[], int]
    pins_problem: Callable[[], tuple[str, int | None]]
    switches_problem: Callable[[], tuple[str, int | None]]
    read_memory: Callable[[int, int], bytes | None]
    is_cached: Callable[[int, int], bool]


@dataclass(frozen=True)
class _Timing:
    """Values of a pair of timing fields: running sums, less 1."""

    sync: int
    back_porch: int
    active: int
    total: int

    @classmethod
    def of(cls, blanking: Blanking, visible: int) -> _Timing:
        sync = blanking.sync - 1
        back_porch = sync + blanking.back_porch
        active = back_porch + visible
        return cls(sync, back_porch, active, active + blanking.front_porch)


class Ltdc(Peripheral):
    """Display controller at 0x40016800; one layer, 8 bits a pixel through the colour table.

    Args:
        is_open: whether its clock comes through.
        panel: what surrounds it.
        program_counter: the running instruction, remembered for later messages.
    """

    def __init__(
        self, is_open: Callable[[], bool], panel: Panel, program_counter: Callable[[], int]
    ) -> None:
        super().__init__("LTDC", 0x4001_6800, 0x400)
        self._panel = panel
        self._is_open = is_open
        self._program_counter = program_counter
        self._written_at: dict[int, int] = {}
        self._colours: dict[int, tuple[int, int, int]] = {}
        self._reload_at_blanking = False
        for offset, name in ((_SSCR, "SSCR"), (_BPCR, "BPCR"), (_AWCR, "AWCR"), (_TWCR, "TWCR")):
            self.add(offset, name, bits=0x0FFF_07FF, write=self._timing_writer(offset, name))
        self.add(_GCR, "GCR", bits=0xF001_7771, reset=0x2220, write=self._write_control)
        self.add(_SRCR, "SRCR", bits=0x3, read=self._read_reload, write=self._write_reload)
        self.add(_BCCR, "BCCR", bits=0x00FF_FFFF)
        for offset, (name, bits, reset) in _SHADOWED.items():
            self.add(offset, name, bits=bits, reset=reset, write=self._note(offset))
        self.add(_CLUTWR, "L1CLUTWR", readable=False, write=self._write_colour)
        self._active = {offset: self.values[offset] for offset in _SHADOWED}

    def screen(self) -> Screen:
        """Return what the panel shows.

        Raises:
            RuleBrokenError: it shows nothing, or not what the frame buffer holds.
        """
        display = self._panel.display
        assert display is not None
        if not self._is_open() or not self.values[_GCR] & _LTDCEN:
            raise RuleBrokenError(
                "the display controller is off when its picture is looked at",
                why="LTDCEN, bit 0 of LTDC.GCR, is 0" + ("" if self._is_open() else ": no clock"),
                next_step="set bit 0 of LTDC.GCR (0x40016818) when everything is set up",
                address=self._written_at.get(_GCR),
            )
        self._check_pixel_clock(display)
        horizontal = _Timing.of(display.horizontal, display.width)
        vertical = _Timing.of(display.vertical, display.height)
        self._check_timing(horizontal, vertical)
        self._check_polarities(display)
        for what, find in (
            ("the panel gets no picture", self._panel.pins_problem),
            ("the panel is dark", self._panel.switches_problem),
        ):
            problem, place = find()
            if problem:
                raise RuleBrokenError(what, why=problem, address=place)
        self._check_reload()
        self._check_layer()
        window = self._window(horizontal, vertical)
        return self._compose(display, window, self._frame_buffer(window))

    # Writes

    def _note(self, offset: int) -> Callable[[int, int], None]:
        def write(_old: int, _new: int) -> None:
            self._written_at[offset] = self._program_counter()

        return write

    def _timing_writer(self, offset: int, name: str) -> Callable[[int, int], None]:
        def write(_old: int, _new: int) -> None:
            self._written_at[offset] = self._program_counter()
            if self.values[_GCR] & _LTDCEN:
                raise RuleBrokenError(
                    f"LTDC.{name} was written while the controller is on",
                    why="the timing may change only while LTDCEN (bit 0 of LTDC.GCR) is 0",
                )

        return write

    def _write_control(self, _old: int, new: int) -> None:
        self._written_at[_GCR] = self._program_counter()
        if new & _LTDCEN and not self._panel.pixel_clock():
            raise RuleBrokenError(
                "the display controller was switched on without a pixel clock",
                why="PLLSAI is off, or was not seen to be ready (bit 29 of RCC.CR)",
                next_step="set PLLSAION and poll RCC.CR (0x40023800) until bit 29 is 1",
            )

    def _write_reload(self, _old: int, new: int) -> None:
        if new & _IMR:
            self._take_over()
        self._reload_at_blanking = bool(new & _VBR)

    def _read_reload(self) -> int:
        if self._reload_at_blanking and self.values[_GCR] & _LTDCEN:
            self._take_over()
        return _VBR if self._reload_at_blanking else 0

    def _take_over(self) -> None:
        self._active = {offset: self.values[offset] for offset in _SHADOWED}
        self._reload_at_blanking = False

    def _write_colour(self, _old: int, new: int) -> None:
        self._colours[new >> 24] = _rgb(new)

    # Checks of a picture

    def _check_pixel_clock(self, display: Display) -> None:
        clock = self._panel.pixel_clock()
        error = clock / display.pixel_clock_hz - 1
        if abs(error) > LARGEST_CLOCK_ERROR:
            raise RuleBrokenError(
                f"the panel's pixel clock is {clock / 1e6:g} MHz, {error:+.1%} off",
                why=f"the panel wants {display.pixel_clock_hz / 1e6:g} MHz, within "
                f"{LARGEST_CLOCK_ERROR:.0%}",
                next_step="PLLSAI: source / M * N / R / PLLSAIDIVR",
                address=self._written_at.get(_GCR),
            )

    def _check_timing(self, horizontal: _Timing, vertical: _Timing) -> None:
        for offset, name, across, down in (
            (_SSCR, "SSCR", horizontal.sync, vertical.sync),
            (_BPCR, "BPCR", horizontal.back_porch, vertical.back_porch),
            (_AWCR, "AWCR", horizontal.active, vertical.active),
            (_TWCR, "TWCR", horizontal.total, vertical.total),
        ):
            wanted = across << 16 | down
            if self.values[offset] != wanted:
                raise RuleBrokenError(
                    f"LTDC.{name} is 0x{self.values[offset]:08X}, the panel needs 0x{wanted:08X}",
                    why=f"[display] of board.toml: {across + 1} pixel clocks and {down + 1} lines "
                    "up to there, less 1 each",
                    next_step="each timing register holds the sum of all parts so far, less 1",
                    address=self._written_at.get(offset),
                )

    def _check_polarities(self, display: Display) -> None:
        wanted = (
            (display.hsync == "high") << 31
            | (display.vsync == "high") << 30
            | (display.data_enable == "high") << 29
            | (display.pixel_clock == "inverted") << 28
        )
        found = self.values[_GCR] & _POLARITIES
        if found != wanted:
            raise RuleBrokenError(
                f"the polarity bits of LTDC.GCR are 0x{found >> 28:X}, the panel needs "
                f"0x{wanted >> 28:X}",
                why="bits 31 to 28: HSPOL, VSPOL, DEPOL, PCPOL",
                address=self._written_at.get(_GCR),
            )

    def _check_reload(self) -> None:
        if self._reload_at_blanking:
            self._take_over()
        for offset, (name, _bits, _reset) in _SHADOWED.items():
            if self._active[offset] != self.values[offset]:
                raise RuleBrokenError(
                    f"LTDC.{name} was written and not taken over",
                    why=f"the controller still uses 0x{self._active[offset]:08X}, not "
                    f"0x{self.values[offset]:08X}: a layer's registers take effect at a reload",
                    next_step="write 1 to LTDC.SRCR (0x40016824) after the last of them",
                    address=self._written_at.get(offset),
                )

    def _check_layer(self) -> None:
        active = self._active
        for is_right, offset, what, why in (
            (active[_CR] & _LEN, _CR, "layer 1 is off", "LEN, bit 0 of LTDC.L1CR, is 0"),
            (
                active[_PFCR] == _L8 and active[_CR] & _CLUTEN,
                _PFCR,
                f"layer 1 has pixel format {active[_PFCR]}",
                "the simulator models 5, L8, with the colour table on (CLUTEN, bit 4 of L1CR)",
            ),
            (
                active[_CACR] == _OPAQUE,
                _CACR,
                f"layer 1 is not opaque: L1CACR is {active[_CACR]}",
                "the simulator models an alpha of 255 only",
            ),
            (
                active[_BFCR] in _BLENDINGS,
                _BFCR,
                f"layer 1 is not opaque: its blending, L1BFCR, is 0x{active[_BFCR]:X}",
                "the simulator models 0x405 and 0x607",
            ),
            (
                not active[_DCCR],
                _DCCR,
                "layer 1 has a default colour (L1DCCR)",
                "the simulator does not model it",
            ),
            (
                not active[_CR] & _COLKEN,
                _CR,
                "layer 1 has a colour key (COLKEN of L1CR)",
                "the simulator does not model it",
            ),
        ):
            if not is_right:
                raise RuleBrokenError(what, why=why, address=self._written_at.get(offset))

    def _window(self, horizontal: _Timing, vertical: _Timing) -> _Window:
        across, down = self._active[_WHPCR], self._active[_WVPCR]
        left, right = across & 0xFFF, across >> 16
        top, bottom = down & 0x7FF, down >> 16
        for name, offset, first, last, timing in (
            ("horizontally", _WHPCR, left, right, horizontal),
            ("vertically", _WVPCR, top, bottom, vertical),
        ):
            if not timing.back_porch < first <= last <= timing.active:
                raise RuleBrokenError(
                    f"layer 1's window leaves the panel {name}: from {first} to {last}",
                    why=f"the visible part is from {timing.back_porch + 1} to {timing.active}",
                    next_step="start = back porch sum + 1, stop = back porch sum + size",
                    address=self._written_at.get(offset),
                )
        return _Window(
            left - horizontal.back_porch - 1,
            top - vertical.back_porch - 1,
            right - left + 1,
            bottom - top + 1,
        )

    def _frame_buffer(self, window: _Window) -> list[bytes]:
        length, pitch = self._active[_CFBLR] & 0x1FFF, self._active[_CFBLR] >> 16
        lines = self._active[_CFBLNR]
        if length != window.width + 3 or pitch < window.width or lines != window.height:
            at = _CFBLNR if lines != window.height else _CFBLR
            raise RuleBrokenError(
                f"the frame buffer has {lines} lines of {length - 3} bytes, {pitch} apart; layer "
                f"1's window is {window.width} x {window.height}",
                why="L1CFBLR bits 12:0 must be a line's bytes + 3, bits 28:16 the distance of two "
                "lines, and L1CFBLNR the lines",
                address=self._written_at.get(at),
            )
        start = self._active[_CFBAR]
        size = pitch * (lines - 1) + window.width
        where = f"0x{start:08X} to 0x{start + size:08X}"
        data = self._panel.read_memory(start, size)
        problem = ""
        if start + size > 0x2000_0000 and start < 0x2001_0000:
            problem = "that is DTCM, which hangs on the core alone: the LTDC does not reach it"
        elif data is None:
            problem = "there is no memory of the board that the LTDC reaches"
        elif self._panel.is_cached(start, size):
            problem = (
                "the core's data cache is on there, and the LTDC shows what memory holds, not "
                "what is still in the cache"
            )
        if problem or data is None:
            raise RuleBrokenError(
                f"the LTDC cannot show the frame buffer from {where}",
                why=problem,
                next_step="put it into SRAM, which an MPU region makes uncached",
                address=self._written_at.get(_CFBAR),
            )
        return [data[line * pitch : line * pitch + window.width] for line in range(lines)]

    def _compose(self, display: Display, window: _Window, lines: list[bytes]) -> Screen:
        missing = set().union(*map(set, lines)) - self._colours.keys()
        if missing:
            raise RuleBrokenError(
                f"a pixel has the colour number {min(missing)}, which was never set",
                why="the colour table's entries are unknown until they are written",
                next_step="write LTDC.L1CLUTWR (0x400168C4) once for each colour",
                address=self._written_at.get(_CFBAR),
            )
        pixels = bytearray(bytes(_rgb(self.values[_BCCR])) * (display.width * display.height))
        tables = [
            bytes(self._colours.get(index, (0, 0, 0))[part] for index in range(256))
            for part in range(3)
        ]
        for row, line in enumerate(lines):
            begin = 3 * ((window.top + row) * display.width + window.left)
            end = begin + 3 * window.width
            for part, table in enumerate(tables):
                pixels[begin + part : end : 3] = line.translate(table)
        return Screen(display.width, display.height, bytes(pixels))


@dataclass(frozen=True)
class _Window:
    """Where a layer lies on the panel, in pixels."""

    left: int
    top: int
    width: int
    height: int


def _rgb(word: int) -> tuple[int, int, int]:
    return word >> 16 & 0xFF, word >> 8 & 0xFF, word & 0xFF
