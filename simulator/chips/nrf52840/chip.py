"""The chip as a whole: its peripherals wired to each other and to the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.chips import Surroundings
from simulator.chips.nrf52840.clock import Clock
from simulator.chips.nrf52840.easydma import EasyDma
from simulator.chips.nrf52840.gpio import Gpio, parse_pin
from simulator.chips.nrf52840.pwm import Pwm, PwmPort
from simulator.chips.nrf52840.uarte import Uarte, UartePort
from simulator.registers import Peripheral
from toolchain.boards import Board, Led
from toolchain.errors import BoardDescriptionError

UARTE_BASES = (0x4000_2000, 0x4002_8000)
PWM_BASES = (0x4001_C000, 0x4002_1000, 0x4002_2000, 0x4002_D000)

_PAGE = 0x1000
_UNMODELLED = {
    # Each has 4 KiB from this address on.
    0x1000_0000: "FICR",
    0x1000_1000: "UICR",
    0x4000_1000: "RADIO",
    0x4000_3000: "SPIM0, SPIS0, TWIM0 and TWIS0",
    0x4000_4000: "SPIM1, SPIS1, TWIM1 and TWIS1",
    0x4000_5000: "NFCT",
    0x4000_6000: "GPIOTE",
    0x4000_7000: "SAADC",
    0x4000_8000: "TIMER0",
    0x4000_9000: "TIMER1",
    0x4000_A000: "TIMER2",
    0x4000_B000: "RTC0",
    0x4000_C000: "TEMP",
    0x4000_D000: "RNG",
    0x4000_E000: "ECB",
    0x4000_F000: "AAR and CCM",
    0x4001_0000: "WDT",
    0x4001_1000: "RTC1",
    0x4001_2000: "QDEC",
    0x4001_3000: "COMP and LPCOMP",
    0x4001_4000: "EGU0 and SWI0",
    0x4001_5000: "EGU1 and SWI1",
    0x4001_6000: "EGU2 and SWI2",
    0x4001_7000: "EGU3 and SWI3",
    0x4001_8000: "EGU4 and SWI4",
    0x4001_9000: "EGU5 and SWI5",
    0x4001_A000: "TIMER3",
    0x4001_B000: "TIMER4",
    0x4001_D000: "PDM",
    0x4001_E000: "NVMC and ACL",
    0x4001_F000: "PPI",
    0x4002_0000: "MWU",
    0x4002_3000: "SPIM2 and SPIS2",
    0x4002_4000: "RTC2",
    0x4002_5000: "I2S",
    0x4002_6000: "FPU",
    0x4002_7000: "USBD",
    0x4002_9000: "QSPI",
    0x4002_F000: "SPIM3",
    0x5002_A000: "CRYPTOCELL",
    0x5002_B000: "CRYPTOCELL",
}


class Nrf52840:
    """An nRF52840 on a board, in the state after reset.

    Raises:
        BoardDescriptionError: the board names a pin or a console that the chip does not have.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        board = surroundings.board
        self._leds = [(led, _pin(board, led.pin)) for led in board.led]
        console_pin = _pin(board, board.console.tx_pin)
        dma = EasyDma(board, surroundings.read_memory)
        self.gpio = Gpio(surroundings.program_counter)
        self.clock = Clock()
        self.uartes = tuple(
            self._uarte(number, console_pin, dma, surroundings)
            for number in range(len(UARTE_BASES))
        )
        self.pwms = tuple(
            Pwm(PwmPort(number, base, self.gpio, dma, self._other_driver))
            for number, base in enumerate(PWM_BASES)
        )
        if board.console.peripheral not in {uarte.name for uarte in self.uartes}:
            raise BoardDescriptionError(
                f"{board.name}: the console is on '{board.console.peripheral}'",
                why="an nRF52840 has UARTE0 and UARTE1",
            )
        self.peripherals: Sequence[Peripheral] = (
            self.clock,
            self.gpio,
            *self.uartes,
            *self.pwms,
        )

    def owner(self, address: int) -> str:
        """Return the peripheral at an address that is not modelled, '' if there is none."""
        return _UNMODELLED.get(address & ~(_PAGE - 1), "")

    def brightness(self) -> Mapping[str, float]:
        """Return how bright each LED is, 0 to 1.

        Raises:
            RuleBrokenError: a pin was set high, or is driven by a PWM, and is not an output.
        """
        self.gpio.check_outputs()
        return {led.name: self._led_brightness(led, pin) for led, pin in self._leds}

    def _led_brightness(self, led: Led, pin: int) -> float:
        high = next((level for pwm in self.pwms if (level := pwm.level(pin)) is not None), None)
        if high is None:
            level = self.gpio.level(pin)
            if level is None:
                return 0.0
            high = float(level)
        return led.brightness(high)

    def _other_driver(self, pin: int, name: str) -> str:
        for peripheral in (*self.uartes, *self.pwms):
            if peripheral.name != name and pin in peripheral.driven_pins:
                return peripheral.name
        return ""

    def _uarte(
        self, number: int, console_pin: int, dma: EasyDma, surroundings: Surroundings
    ) -> Uarte:
        console = surroundings.board.console
        is_console = console.peripheral == f"UARTE{number}"
        return Uarte(
            UartePort(
                number=number,
                base=UARTE_BASES[number],
                console_pin=console_pin if is_console else None,
                baud=console.baud if is_console else None,
                gpio=self.gpio,
                dma=dma,
                other_driver=self._other_driver,
                before_sending=self.gpio.check_outputs,
                send=surroundings.console if is_console else lambda _byte: None,
            )
        )


def make_chip(surroundings: Surroundings) -> Nrf52840:
    """Return the chip as the bootloader leaves it.

    What the bootloader may change (it runs the crystal for its USB) is not documented; reset
    values are taken, so that a firmware that counts on such a change is noticed.

    Raises:
        BoardDescriptionError: the board uses something that the chip does not have.
    """
    return Nrf52840(surroundings)


def _pin(board: Board, name: str) -> int:
    pin = parse_pin(name)
    if pin is None:
        raise BoardDescriptionError(
            f"{board.name}: there is no pin '{name}'",
            why="an nRF52840 has P0.00 to P0.31 and P1.00 to P1.15",
        )
    return pin
