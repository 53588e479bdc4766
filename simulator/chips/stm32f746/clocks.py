"""RCC: oscillators, PLLs, the system clock and its dividers, and the gates of the peripherals."""

from __future__ import annotations

from collections.abc import Callable

from simulator.chips.stm32f746.flash import Flash
from simulator.chips.stm32f746.gate import Gate
from simulator.chips.stm32f746.power import Pwr, Surrounding
from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError

HSI_HZ = 16_000_000
_BASE = 0x4002_3800
_CR, _PLLCFGR, _CFGR = 0x00, 0x04, 0x08
_PLLSAICFGR, _DCKCFGR1, _DCKCFGR2 = 0x88, 0x8C, 0x90
_HSION, _HSIRDY = 1 << 0, 1 << 1
_HSEON, _HSERDY = 1 << 16, 1 << 17
_PLLON, _PLLRDY = 1 << 24, 1 << 25
_PLLSAION, _PLLSAIRDY = 1 << 28, 1 << 29
_SWITCHES = _HSION | _HSEON | _PLLON | _PLLSAION
_FLAGS = _HSIRDY | _HSERDY | _PLLRDY | 1 << 27 | _PLLSAIRDY | 0xFF00
_READY_AFTER = {_HSERDY: (_HSEON, 4), _PLLRDY: (_PLLON, 3), _PLLSAIRDY: (_PLLSAION, 3)}
"""For each flag what switches its clock on, and how often it is looked at until it is set."""

_SOURCES = {0: "HSI", 1: "HSE", 2: "PLL"}
_PLLSRC_HSE = 1 << 22
_SHARED_BY_PLLS = 0x3F | _PLLSRC_HSE
_VCO_INPUT = range(1_000_000, 2_000_001)
_VCO_OUTPUT = range(100_000_000, 432_000_001)
_USART1_SOURCES = {0: "PCLK2", 1: "SYSCLK", 2: "HSI"}
_LCD_DIVIDERS = (2, 4, 8, 16)
_DTCM = 1 << 20

_PORTS = {f"GPIO{letter}": bit for bit, letter in enumerate("ABCDEFGHIJK")}
_GATES: dict[str, tuple[int, str, dict[str, int]]] = {
    # Offset, bits that exist, and the gates that the simulator has a use for
    "AHB1ENR": (0x30, "7EF417FF", {**_PORTS, "DMA1": 21, "DMA2": 22, "DMA2D": 23}),
    "AHB2ENR": (0x34, "000000F1", {}),
    "AHB3ENR": (0x38, "00000003", {}),
    "APB1ENR": (0x40, "FFFFCBFF", {"TIM6": 4, "PWR": 28}),
    "APB2ENR": (0x44, "04F77F33", {"TIM1": 0, "TIM8": 1, "USART1": 4, "SYSCFG": 14, "LTDC": 26}),
}
_NOT_PERIPHERALS = {"AHB1ENR": _DTCM, "APB1ENR": 1 << 28}
"""Gates that may be open while over-drive comes up: the stack's memory and PWR itself."""

GATES = {
    name: Gate(register, _BASE + offset, bit)
    for register, (offset, _bits, names) in _GATES.items()
    for name, bit in names.items()
}


class Rcc(Peripheral):
    """Reset and clock control at 0x40023800.

    Args:
        crystal_hz: of the board's crystal; None: HSE never swings.
        on_change: called after each change of a clock or gate.
    """

    def __init__(self, crystal_hz: int | None, on_change: Callable[[], None]) -> None:
        super().__init__("RCC", _BASE, 0x400)
        self._crystal_hz = crystal_hz
        self._on_change = on_change
        self._looks = dict.fromkeys(_READY_AFTER, 0)
        self.power = Pwr(Surrounding(self._pll_is_on, self._runs_on_pll, self._clocked))
        self.flash = Flash(lambda: self.hclk)
        self.add(_CR, "CR", bits=0x3F0F_FFFB, reset=0x83, read=self._read_cr, write=self._write_cr)
        self.add(
            _PLLCFGR, "PLLCFGR", bits=0x0F43_7FFF, reset=0x2400_3010, write=self._write_pllcfgr
        )
        self.add(_CFGR, "CFGR", bits=0xFFFF_FCFF, read=self._read_cfgr, write=self._write_cfgr)
        for name, (offset, bits, _names) in _GATES.items():
            reset = _DTCM if name == "AHB1ENR" else 0
            self.add(offset, name, bits=int(bits, 16), reset=reset, write=self._write_gates)
        self.add(
            _PLLSAICFGR,
            "PLLSAICFGR",
            bits=0x7F03_7FC0,
            reset=0x2000_3000,
            write=self._write_pllsaicfgr,
        )
        self.add(_DCKCFGR1, "DCKCFGR1", bits=0x01F3_1F1F, write=self._note_change)
        self.add(_DCKCFGR2, "DCKCFGR2", bits=0x1FFF_FFFF, write=self._note_change)

    # What the clocks are, in Hz.

    @property
    def sysclk(self) -> int:
        """The system clock."""
        return self._source_hz(self.values[_CFGR] & 3)

    @property
    def hclk(self) -> int:
        """The core's clock."""
        return self._divided(self.values[_CFGR])[0]

    @property
    def pclk2(self) -> int:
        """Clock of the peripherals on APB2."""
        return self._divided(self.values[_CFGR])[2]

    @property
    def timer_clock2(self) -> int:
        """Clock of the timers on APB2."""
        divider = _apb_divider(self.values[_CFGR] >> 13 & 7)
        if self.values[_DCKCFGR1] & 1 << 24:
            return self.hclk if divider <= 4 else 4 * self.pclk2
        return self.pclk2 if divider == 1 else 2 * self.pclk2

    @property
    def usart1_source(self) -> str:
        """What feeds USART1; '' for a clock that is not modelled."""
        return _USART1_SOURCES.get(self.values[_DCKCFGR2] & 3, "")

    @property
    def usart1_clock(self) -> int:
        """Clock that USART1 divides; 0: none."""
        return {"PCLK2": self.pclk2, "SYSCLK": self.sysclk, "HSI": HSI_HZ}.get(
            self.usart1_source, 0
        )

    @property
    def pixel_clock(self) -> int:
        """Clock of the LTDC's pixels; 0 while PLLSAI is not on or was not seen to be ready."""
        if not self._is_ready(_PLLSAIRDY):
            return 0
        setting = self.values[_PLLSAICFGR]
        divider = (setting >> 28 & 7) * _LCD_DIVIDERS[self.values[_DCKCFGR1] >> 16 & 3]
        return self._vco_input() * (setting >> 6 & 0x1FF) // divider

    def is_open(self, name: str) -> bool:
        """Return whether a peripheral of ``GATES`` has its clock."""
        gate = GATES[name]
        return bool(self.values[gate.address - _BASE] >> gate.bit & 1)

    def waiting_for(self, offset: int) -> str:
        """Say which clock is awaited that is off or cannot come."""
        if offset == _CR and self.values[_CR] & _HSEON and self._crystal_hz is None:
            return "the board's crystal does not swing, so HSERDY stays 0"
        if offset == _CR:
            return "its clock was not switched on in RCC.CR"
        return ""

    # CR: what is on, and what is ready.

    def _is_ready(self, flag: int) -> bool:
        return self._looks[flag] >= _READY_AFTER[flag][1]

    def _pll_is_on(self) -> bool:
        return bool(self.values[_CR] & _PLLON)

    def _runs_on_pll(self) -> bool:
        return self.values[_CFGR] & 3 == 2

    def _clocked(self) -> list[str]:
        """Return the names of what is clocked beside PWR and memories."""
        names = []
        for register, (offset, _bits, gates) in _GATES.items():
            open_gates = self.values[offset] & ~_NOT_PERIPHERALS.get(register, 0)
            known = [name for name, bit in gates.items() if open_gates >> bit & 1]
            names += known or ([f"something in RCC.{register}"] if open_gates else [])
        return names

    def _read_cr(self) -> int:
        value = self.values[_CR] | (_HSIRDY if self.values[_CR] & _HSION else 0)
        for flag, (switch, looks) in _READY_AFTER.items():
            if value & switch and (flag != _HSERDY or self._crystal_hz):
                self._looks[flag] = min(self._looks[flag] + 1, looks)
                value |= flag if self._is_ready(flag) else 0
        return value

    def _write_cr(self, old: int, new: int) -> None:
        self.values[_CR] = new & ~_FLAGS
        changed = (old ^ new) & ~_FLAGS
        if changed & ~_SWITCHES:
            raise RuleBrokenError(
                f"bits 0x{changed & ~_SWITCHES:08X} of RCC.CR were changed",
                why="oscillator trimming, bypass, clock security and PLLI2S are not modelled",
            )
        for flag, (switch, _looks) in _READY_AFTER.items():
            if changed & switch:
                self._looks[flag] = 0
        self._check_still_used(old & ~new)
        if changed & new & _PLLON:
            self._check_pll()
        if changed & new & _PLLSAION:
            self._check_pllsai()
        self._on_change()

    def _check_still_used(self, switched_off: int) -> None:
        pll_users = self.values[_CR] & (_PLLON | _PLLSAION)
        source = _HSEON if self.values[_PLLCFGR] & _PLLSRC_HSE else _HSION
        used = (_HSION, _HSEON, _PLLON)[self.values[_CFGR] & 3]
        # The one that the system runs on first: it may be switched off together with its source.
        for bit in (used, source if pll_users else 0):
            if not switched_off & bit:
                continue
            name = {_HSION: "HSI", _HSEON: "HSE", _PLLON: "the PLL"}[bit]
            raise RuleBrokenError(
                f"{name} was switched off while it is used",
                why="the system clock or a running PLL is made from it",
                next_step="switch to another clock first",
            )

    # The PLLs.

    def _vco_input(self) -> int:
        setting = self.values[_PLLCFGR]
        source = self._crystal_hz if setting & _PLLSRC_HSE else HSI_HZ
        return (source or 0) // max(setting & 0x3F, 1)

    def _check_vco(self, name: str, multiplier: int) -> None:
        from_hse = self.values[_PLLCFGR] & _PLLSRC_HSE
        if from_hse and not self._is_ready(_HSERDY):
            raise RuleBrokenError(
                f"{name} was switched on before HSE was seen to be ready",
                why="PLLSRC is HSE, and HSERDY (bit 17 of RCC.CR) was not read as 1",
                next_step="set HSEON and poll RCC.CR (0x40023800) until bit 17 is 1",
            )
        given = self._vco_input()
        if given not in _VCO_INPUT:
            raise RuleBrokenError(
                f"{name} was switched on with {given / 1e6:g} MHz at its input",
                why=f"{'HSE' if from_hse else 'HSI'} / M must be 1 to 2 MHz; "
                f"M is {self.values[_PLLCFGR] & 0x3F}",
                next_step="set PLLM of RCC.PLLCFGR before switching a PLL on",
            )
        vco = given * multiplier
        if not 50 <= multiplier <= 432 or vco not in _VCO_OUTPUT:
            raise RuleBrokenError(
                f"{name} was switched on to make {vco / 1e6:g} MHz",
                why=f"N is {multiplier} (50 to 432 are allowed) and its oscillator does 100 to "
                "432 MHz",
            )

    def _check_pll(self) -> None:
        setting = self.values[_PLLCFGR]
        self._check_vco("the PLL", setting >> 6 & 0x1FF)
        if setting >> 24 & 0xF < 2:
            raise RuleBrokenError(
                f"the PLL was switched on with Q = {setting >> 24 & 0xF}",
                why="Q must be 2 to 15, used or not",
            )

    def _check_pllsai(self) -> None:
        setting = self.values[_PLLSAICFGR]
        self._check_vco("PLLSAI", setting >> 6 & 0x1FF)
        for name, value in (("Q", setting >> 24 & 0xF), ("R", setting >> 28 & 7)):
            if value < 2:
                raise RuleBrokenError(
                    f"PLLSAI was switched on with {name} = {value}",
                    why=f"{name} must be 2 or more; after reset Q is 0",
                    next_step="write the whole of RCC.PLLSAICFGR before PLLSAION",
                )

    def _write_pllcfgr(self, old: int, new: int) -> None:
        running = self.values[_CR] & (_PLLON | _PLLSAION)
        if running & _PLLON or (running and (old ^ new) & _SHARED_BY_PLLS):
            name = "the PLL" if running & _PLLON else "PLLSAI, which shares source and M,"
            raise RuleBrokenError(
                f"RCC.PLLCFGR was written while {name} is on",
                why="a PLL's factors may change only while it is off",
                next_step="write PLLCFGR before PLLON and PLLSAION",
            )

    def _write_pllsaicfgr(self, _old: int, _new: int) -> None:
        if self.values[_CR] & _PLLSAION:
            raise RuleBrokenError(
                "RCC.PLLSAICFGR was written while PLLSAI is on",
                why="a PLL's factors may change only while it is off",
            )

    # CFGR: which clock the system runs on.

    def _source_hz(self, code: int) -> int:
        if code == 2:
            setting = self.values[_PLLCFGR]
            divider = 2 * ((setting >> 16 & 3) + 1)
            return self._vco_input() * (setting >> 6 & 0x1FF) // divider
        return (self._crystal_hz or 0) if code == 1 else HSI_HZ

    def _divided(self, setting: int) -> tuple[int, int, int]:
        """Return HCLK, PCLK1 and PCLK2 of a value of CFGR."""
        code = setting >> 4 & 0xF
        ahb = (2, 4, 8, 16, 64, 128, 256, 512)[code & 7] if code & 8 else 1
        hclk = self._source_hz(setting & 3) // ahb
        return (
            hclk,
            hclk // _apb_divider(setting >> 10 & 7),
            hclk // _apb_divider(setting >> 13 & 7),
        )

    def _read_cfgr(self) -> int:
        value = self.values[_CFGR] & ~0xC
        return value | (value & 3) << 2

    def _write_cfgr(self, _old: int, new: int) -> None:
        code = new & 3
        if code not in _SOURCES:
            raise RuleBrokenError("RCC.CFGR SW was set to 3", why="there is no such clock")
        flag = (0, _HSERDY, _PLLRDY)[code]
        if flag and not self._is_ready(flag):
            raise RuleBrokenError(
                f"the core was switched to {_SOURCES[code]} before it was seen to be ready",
                why=f"bit {flag.bit_length() - 1} of RCC.CR was not read as 1",
                next_step=f"poll RCC.CR (0x40023800) until bit {flag.bit_length() - 1} is 1",
            )
        hclk, pclk1, pclk2 = self._divided(new)
        limits = self.power.limits
        for name, clock, limit in (
            ("the core", hclk, limits.hclk),
            ("APB1", pclk1, limits.pclk1),
            ("APB2", pclk2, limits.pclk2),
        ):
            if clock > limit:
                raise RuleBrokenError(
                    f"{name} was given {clock / 1e6:g} MHz",
                    why=f"with {limits.regulator} it may have {limit / 1e6:g} MHz",
                    next_step="over-drive (PWR.CR1 ODEN, ODSWEN) allows a core clock of 216 MHz, "
                    "with APB1 / 4 and APB2 / 2",
                )
        self.flash.check_clock(hclk)
        self._on_change()

    def _write_gates(self, _old: int, _new: int) -> None:
        if not self.values[_GATES["AHB1ENR"][0]] & _DTCM:
            raise RuleBrokenError(
                "the clock of the DTCM was switched off (RCC.AHB1ENR bit 20)",
                why="data and stack may lie there; the bit is 1 after reset",
                next_step="OR bits into AHB1ENR",
            )
        self._on_change()

    def _note_change(self, _old: int, _new: int) -> None:
        self._on_change()


def _apb_divider(code: int) -> int:
    return (2, 4, 8, 16)[code & 3] if code & 4 else 1
