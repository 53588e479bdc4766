"""The chip as a whole: its peripherals wired to each other and to the board."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from simulator.chips import Surroundings
from simulator.chips.stm32f746.clocks import GATES, Rcc
from simulator.chips.stm32f746.dma import TIM1_REQUESTS, Dma
from simulator.chips.stm32f746.gate import guard
from simulator.chips.stm32f746.gpio import BASE, BSRR, STRIDE, Port
from simulator.chips.stm32f746.ltdc import Ltdc, Panel
from simulator.chips.stm32f746.pins import LTDC, PORTS, USART1_TX, Pin, parse_pin
from simulator.chips.stm32f746.timer import Timer
from simulator.chips.stm32f746.usart import Line, Usart
from simulator.registers import Peripheral
from simulator.request import Screen
from simulator.rules import RuleBrokenError
from toolchain.boards import Board, Led
from toolchain.errors import BoardDescriptionError

SLOWEST_PWM_HZ = 100
"""Below, the eye sees a lamp flicker."""

FASTEST_WRITES_CLOCKS = 64
"""Core clocks between two transfers of the DMA controller whose order counts."""

_DTCM = range(0x2000_0000, 0x2001_0000)
_UNMODELLED = (
    # First address, one past the last, name
    (0x4000_0000, 0x4000_2400, "a timer on APB1"),
    (0x4000_2800, 0x4000_2C00, "RTC"),
    (0x4000_2C00, 0x4000_3400, "a watchdog"),
    (0x4000_3800, 0x4000_4000, "SPI2 or SPI3"),
    (0x4000_4400, 0x4000_5400, "a USART on APB1"),
    (0x4000_5400, 0x4000_6400, "I2C"),
    (0x4000_6400, 0x4000_6C00, "CAN"),
    (0x4000_7400, 0x4000_7800, "DAC"),
    (0x4000_7800, 0x4000_8000, "a UART on APB1"),
    (0x4001_0400, 0x4001_0800, "TIM8"),
    (0x4001_1400, 0x4001_1800, "USART6"),
    (0x4001_2000, 0x4001_2400, "ADC"),
    (0x4001_2C00, 0x4001_3000, "SDMMC1"),
    (0x4001_3000, 0x4001_3800, "SPI1 or SPI4"),
    (0x4001_3800, 0x4001_3C00, "SYSCFG"),
    (0x4001_3C00, 0x4001_4000, "EXTI"),
    (0x4001_4000, 0x4001_4C00, "TIM9 to TIM11"),
    (0x4001_5000, 0x4001_5800, "SPI5 or SPI6"),
    (0x4001_5800, 0x4001_6000, "SAI"),
    (0x4002_3000, 0x4002_3400, "CRC"),
    (0x4002_6000, 0x4002_6400, "DMA1"),
    (0x4002_8000, 0x4002_9400, "Ethernet"),
    (0x4002_B000, 0x4002_BC00, "DMA2D"),
    (0x4004_0000, 0x4008_0000, "USB OTG HS"),
    (0x5000_0000, 0x5004_0000, "USB OTG FS"),
    (0x5005_0000, 0x5005_0400, "DCMI"),
    (0x5006_0000, 0x5006_0C00, "the cryptographic processors"),
    (0x6000_0000, 0xA000_0000, "external memory"),
    (0xA000_0000, 0xA000_1000, "FMC"),
    (0xA000_1000, 0xA000_2000, "QUADSPI"),
)


class Stm32f746:
    """An STM32F746 on a board, in the state after reset.

    Raises:
        BoardDescriptionError: the board names a pin, a console or a display that the chip does not
            have.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        board = surroundings.board
        here = surroundings.program_counter
        self._surroundings = surroundings
        self._display = board.display
        self._leds = [(led, parse_pin(led.pin)) for led in board.led]
        self._check_console(board)
        self._signals = _display_signals(board)
        self._switches = [parse_pin(pin) for pin in board.display.on] if board.display else []
        self.rcc = rcc = Rcc(board.core.crystal_hz, self._recheck)
        self.ports = {letter: Port(letter, self._recheck, here) for letter in PORTS}
        self.usart = Usart(
            Line(
                clock=lambda: rcc.usart1_clock,
                clock_source=lambda: rcc.usart1_source,
                baud=board.console.baud,
                pin_problem=self._console_pin_problem,
                send=surroundings.console,
            )
        )
        self.timer = Timer(self._gate("TIM1"), here)
        self.dma = Dma(self._gate("DMA2"), self._dma_reads, self._is_bsrr, here)
        self.ltdc = Ltdc(
            self._gate("LTDC"),
            Panel(
                display=board.display,
                pixel_clock=lambda: rcc.pixel_clock,
                pins_problem=self._signals_problem,
                switches_problem=self._switches_problem,
                read_memory=surroundings.read_memory,
                is_cached=surroundings.is_cached,
            ),
            here,
        )
        gated = (
            *(rcc.power, self.usart, self.timer, self.dma, self.ltdc),
            *self.ports.values(),
        )
        for peripheral in gated:
            guard(peripheral, GATES[peripheral.name], self._gate(peripheral.name))
        self.usart.hurry()
        self.peripherals: Sequence[Peripheral] = (rcc, rcc.flash, *gated)

    def owner(self, address: int) -> str:
        """Return the peripheral at an address that is not modelled, '' if there is none."""
        for begin, end, name in _UNMODELLED:
            if begin <= address < end:
                return name
        return ""

    def brightness(self) -> Mapping[str, float]:
        """Return how bright each LED is, 0 to 1: the part of the time for which its pin is on.

        Raises:
            RuleBrokenError: what switches a LED's pin does not run, flickers or races.
        """
        return {led.name: self._led_brightness(led, pin) for led, pin in self._leds}

    def screen(self) -> Screen | None:
        """Return what the panel shows; None: the board has none.

        Raises:
            RuleBrokenError: it shows nothing, or not what the frame buffer holds.
        """
        return self.ltdc.screen() if self._display else None

    def _gate(self, name: str) -> Callable[[], bool]:
        rcc = self.rcc
        return lambda: rcc.is_open(name)

    def _recheck(self) -> None:
        self.usart.recheck()

    # LEDs

    def _led_brightness(self, led: Led, pin: Pin) -> float:
        port = self.ports[pin.port]
        if not port.is_output(pin.number):
            return 0.0
        edges = self._edges(pin)
        if not edges:
            high = float(port.is_high(pin.number))
        else:
            period = self.timer.period
            ends = [*(at for at, _level in edges[1:]), edges[0][0] + period]
            lit = sum(end - at for (at, level), end in zip(edges, ends, strict=True) if level)
            high = lit / period
        return led.brightness(high)

    def _edges(self, pin: Pin) -> list[tuple[int, bool]]:
        """Return when in the timer's period, in counts, the pin is set to which level."""
        address = BASE + STRIDE * PORTS.index(pin.port) + BSRR
        streams = {
            TIM1_REQUESTS[stream]: stream
            for stream in self.dma.running
            if self.dma.target(stream) == address
        }
        if not streams:
            return []
        self._check_timer(pin, self.dma.started_at.get(min(streams.values())))
        edges = []
        for event in self.timer.events:
            if event.name in streams:
                word = self._read_word(self.dma.source(streams[event.name]))
                if word >> pin.number & 0x10001:
                    edges.append((event.count, bool(word >> pin.number & 1)))
        edges.sort()
        self._check_order(pin, edges)
        return edges

    def _check_timer(self, pin: Pin, started_at: int | None) -> None:
        if not self.timer.is_running:
            raise RuleBrokenError(
                f"{pin} waits for transfers that TIM1 never asks for",
                why="TIM1 does not count: CEN (bit 0 of TIM1.CR1) is 0",
                next_step="set CEN when everything else is set up",
                address=self.timer.control_written_at or started_at,
            )
        rate = self.rcc.timer_clock2 / self.timer.prescaler / self.timer.period
        if rate < SLOWEST_PWM_HZ:
            raise RuleBrokenError(
                f"{pin} is switched {rate:.1f} times a second, which flickers",
                why=f"TIM1's clock is {self.rcc.timer_clock2 / 1e6:g} MHz, a count is "
                f"{self.timer.prescaler} clocks, a period {self.timer.period} counts; below "
                f"{SLOWEST_PWM_HZ} Hz the eye sees it",
                address=self.timer.control_written_at,
            )

    def _check_order(self, pin: Pin, edges: list[tuple[int, bool]]) -> None:
        if len(edges) < 2 or edges[0][1] == edges[1][1]:
            return
        per_count = self.timer.prescaler * self.rcc.hclk / self.rcc.timer_clock2
        gap = edges[1][0] - edges[0][0]
        closest = min(gap, self.timer.period - gap) * per_count
        if closest < FASTEST_WRITES_CLOCKS:
            raise RuleBrokenError(
                f"{pin} is set and cleared within {closest:.0f} clocks of the core",
                why="two transfers that are asked for nearly at once may come in any order",
                next_step="for none and all of a period use a compare value beyond its end, or one "
                "count less than all",
                address=self.timer.compare_written_at,
            )

    def _read_word(self, address: int) -> int:
        data = self._surroundings.read_memory(address, 4)
        return int.from_bytes(data or b"", "little")

    # What the DMA controller reaches

    def _dma_reads(self, address: int) -> bool:
        if self._surroundings.read_memory(address, 4) is None:
            return False
        in_flash = self._surroundings.board.flash.contains(address)
        return in_flash or address in _DTCM or not self._surroundings.is_cached(address, 4)

    @staticmethod
    def _is_bsrr(address: int) -> bool:
        port, offset = divmod(address - BASE, STRIDE)
        return offset == BSRR and 0 <= port < len(PORTS)

    # Console

    def _check_console(self, board: Board) -> None:
        pin = str(parse_pin(board.console.tx_pin))
        if board.console.peripheral != "USART1" or pin not in USART1_TX:
            raise BoardDescriptionError(
                f"{board.name}: the console is {board.console.peripheral} on {pin}",
                why=f"the simulator models USART1, on {' or '.join(USART1_TX)}",
            )

    def _console_pin_problem(self) -> tuple[str, int | None]:
        pin = parse_pin(self._surroundings.board.console.tx_pin)
        return self._function_problem(pin, USART1_TX[str(pin)], "USART1's TX")

    def _function_problem(self, pin: Pin, function: int, signal: str) -> tuple[str, int | None]:
        port = self.ports[pin.port]
        problem = port.function_problem(pin.number, function)
        if not problem:
            return "", None
        return f"{problem}; {signal} is {function} there", port.place_of_function(pin.number)

    # Display

    def _signals_problem(self) -> tuple[str, int | None]:
        for signal, pin in self._signals.items():
            name = f"LTDC's {signal}"
            problem, place = self._function_problem(pin, LTDC[signal][str(pin)], name)
            if problem:
                return problem, place
            if not self.ports[pin.port].is_fast(pin.number):
                return (
                    f"{pin}, {name}, has the lowest speed (GPIO{pin.port}.OSPEEDR), good for "
                    "4 MHz; the pixel clock is higher",
                    self.ports[pin.port].place_of_speed(),
                )
        return "", None

    def _switches_problem(self) -> tuple[str, int | None]:
        for pin in self._switches:
            port = self.ports[pin.port]
            if not port.is_output(pin.number) or not port.is_high(pin.number):
                return (
                    f"{pin} is not an output that is high; it switches the panel or its backlight",
                    port.mode_written_at(),
                )
        return "", None


def make_chip(surroundings: Surroundings) -> Stm32f746:
    """Return the chip as it comes out of reset.

    Raises:
        BoardDescriptionError: the board uses something that the chip does not have.
    """
    return Stm32f746(surroundings)


def _display_signals(board: Board) -> dict[str, Pin]:
    display = board.display
    if display is None:
        return {}
    if display.controller != "LTDC":
        raise BoardDescriptionError(
            f"{board.name}: the display is on '{display.controller}'", why="the chip has LTDC"
        )
    for signal, pin in display.pins.items():
        if pin not in LTDC.get(signal, {}):
            raise BoardDescriptionError(
                f"{board.name}: the display's {signal} is on '{pin}'",
                why=f"LTDC has it on {', '.join(LTDC.get(signal, {})) or 'no pin'}",
            )
    return {signal: parse_pin(pin) for signal, pin in display.pins.items()}
