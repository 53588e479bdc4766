"""The chip as a whole: its peripherals wired to each other and to the board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.chips import Surroundings
from simulator.chips.apollo3.cachectrl import Cachectrl
from simulator.chips.apollo3.clkgen import Clkgen
from simulator.chips.apollo3.ctimer import Ctimer
from simulator.chips.apollo3.gpio import Gpio
from simulator.chips.apollo3.pads import (
    GPIO_FUNCTION,
    PADS,
    TIMER_OUTPUT_OF_PAD,
    TIMER_OUTPUT_PADS,
    UART_TX_PADS,
)
from simulator.chips.apollo3.pwrctrl import UART0, UART1, Pwrctrl
from simulator.chips.apollo3.uart import Uart, UartPort
from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError
from toolchain.boards import Board, Led
from toolchain.errors import BoardDescriptionError

_UNMODELLED = (
    # First address, one past the last, name
    (0x4000_0000, 0x4000_1000, "RSTGEN"),
    (0x4000_4200, 0x4000_5000, "RTC"),
    (0x4000_C000, 0x4000_D000, "VCOMP"),
    (0x4001_1000, 0x4001_2000, "APBDMA"),
    (0x4002_0000, 0x4002_1000, "MCUCTRL"),
    (0x4002_4000, 0x4002_5000, "WDT"),
    (0x4003_0000, 0x4003_1000, "SECURITY"),
    (0x4008_0000, 0x4008_1000, "SCARD"),
    (0x5000_0000, 0x5000_1000, "IOSLAVE"),
    (0x5000_4000, 0x5000_A000, "IOM0 to IOM5"),
    (0x5000_C000, 0x5000_D000, "BLEIF"),
    (0x5001_0000, 0x5001_1000, "ADC"),
    (0x5001_1000, 0x5001_2000, "PDM"),
    (0x5001_4000, 0x5001_5000, "MSPI"),
)


class Apollo3:
    """An Apollo3 on a board, in the state after reset.

    Raises:
        BoardDescriptionError: the board names a pin or a console that the chip does not have.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        board = surroundings.board
        self._leds = [(led, _pad(board, led.pin)) for led in board.led]
        self._console_pad = _pad(board, board.console.tx_pin)
        here = surroundings.program_counter
        self.pwrctrl = Pwrctrl(self._recheck)
        self.gpio = Gpio(
            self._recheck, lambda number: self.pwrctrl.is_enabled((UART0, UART1)[number]), here
        )
        self.ctimer = Ctimer(here)
        self.uarts = tuple(self._uart(number, surroundings) for number in range(2))
        if board.console.peripheral not in {uart.name for uart in self.uarts}:
            raise BoardDescriptionError(
                f"{board.name}: the console is on '{board.console.peripheral}'",
                why="an Apollo3 has UART0 and UART1",
            )
        self.peripherals: Sequence[Peripheral] = (
            Clkgen(),
            self.ctimer,
            self.gpio,
            Cachectrl(),
            *self.uarts,
            self.pwrctrl,
        )

    def owner(self, address: int) -> str:
        """Return the peripheral at an address that is not modelled, '' if there is none."""
        for begin, end, name in _UNMODELLED:
            if begin <= address < end:
                return name
        return ""

    def brightness(self) -> Mapping[str, float]:
        """Return how bright each LED is, 0 to 1.

        Raises:
            RuleBrokenError: a timer output is switched on and reaches no pad, or does not run.
        """
        self._check_timer_outputs_reach_pads()
        return {led.name: self._led_brightness(led, pad) for led, pad in self._leds}

    def _led_brightness(self, led: Led, pad: int) -> float:
        high: float | None = None
        function = self.gpio.function(pad)
        output = TIMER_OUTPUT_OF_PAD.get(pad)
        if function == GPIO_FUNCTION:
            level = self.gpio.pin_level(pad)
            high = None if level is None else float(level)
        elif output is not None and function == TIMER_OUTPUT_PADS[output][1]:
            self._check_timer_output_is_on(output, pad)
            high = self.ctimer.level(output)
        if high is None:
            return 0.0
        return led.brightness(high)

    def _check_timer_output_is_on(self, output: int, pad: int) -> None:
        if not self.gpio.timer_output_is_on(output):
            raise RuleBrokenError(
                f"pad {pad} was given to timer output CT{output}, which is switched off",
                why=f"bit {output} of GPIO.CTENCFG is 1, which is off (and the state after reset)",
                next_step=f"clear bit {output} of GPIO.CTENCFG (0x40010118)",
                address=self.gpio.function_given_at(pad),
            )

    def _check_timer_outputs_reach_pads(self) -> None:
        for output, (pad, code) in enumerate(TIMER_OUTPUT_PADS):
            if self.gpio.timer_output_is_on(output) and self.gpio.function(pad) != code:
                raise RuleBrokenError(
                    f"timer output CT{output} is switched on but reaches no pad",
                    why=f"pad {pad} has function {self.gpio.function(pad)}; CT{output} is {code}",
                    next_step=f"set FNCSEL of pad {pad} to {code}",
                    address=self.gpio.timer_outputs_written_at,
                )

    def _recheck(self) -> None:
        for uart in self.uarts:
            uart.recheck()

    def _uart(self, number: int, surroundings: Surroundings) -> Uart:
        device = (UART0, UART1)[number]
        console = surroundings.board.console
        is_console = console.peripheral == f"UART{number}"
        return Uart(
            UartPort(
                number=number,
                power_bit=device,
                baud=console.baud if is_console else None,
                is_enabled=lambda: self.pwrctrl.is_enabled(device),
                is_seen_on=lambda: self.pwrctrl.is_seen_on(device),
                transmit_pad_problem=lambda: self._transmit_pad_problem(number, is_console),
                send=surroundings.console if is_console else lambda _byte: None,
            )
        )

    def _transmit_pad_problem(self, number: int, is_console: bool) -> str:
        pads = UART_TX_PADS[number]
        given = [pad for pad, code in pads.items() if self.gpio.function(pad) == code]
        if not is_console:
            return "" if given else f"no pad has the function of UART{number}'s transmit signal"
        wanted = self._console_pad
        if wanted in given:
            return ""
        code = self.gpio.function(wanted)
        return (
            f"the function of pad {wanted}, the board's console, is {code}; "
            f"UART{number}'s transmit signal is {pads.get(wanted, 'not available there')}"
        )


def make_chip(surroundings: Surroundings) -> Apollo3:
    """Return the chip as the secure bootloader leaves it.

    What the bootloader may change is not documented; reset values are taken, so that a firmware
    that counts on such a change is noticed.

    Raises:
        BoardDescriptionError: the board uses something that the chip does not have.
    """
    return Apollo3(surroundings)


def _pad(board: Board, pin: str) -> int:
    if not pin.isdecimal() or int(pin) >= PADS:
        raise BoardDescriptionError(
            f"{board.name}: there is no pad '{pin}'", why=f"an Apollo3 has pads 0 to {PADS - 1}"
        )
    return int(pin)
