"""PWM0 to PWM3: pulse width modulation of pins by sequences of compare values in RAM."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from simulator.chips.nrf52840.easydma import EasyDma
from simulator.chips.nrf52840.gpio import Gpio, pin_name
from simulator.chips.nrf52840.peripheral import ENABLE, NordicPeripheral
from simulator.rules import RuleBrokenError

CHANNELS = 4
SMALLEST_TOP = 3

_STOP, _SEQSTART, _NEXTSTEP = 0x004, 0x008, 0x010
_STOPPED, _SEQSTARTED, _SEQEND, _PERIODEND, _LOOPSDONE = 0x104, 0x108, 0x110, 0x118, 0x11C
_MODE, _COUNTERTOP, _PRESCALER, _DECODER, _LOOP = 0x504, 0x508, 0x50C, 0x510, 0x514
_SEQ, _SEQ_STEP = 0x520, 0x20
_PTR, _CNT, _REFRESH, _ENDDELAY = 0x0, 0x4, 0x8, 0xC
_OUT = 0x560
_VALUES_OF_LOAD = {
    # Values in RAM for one step: common, grouped, individual. Which of them a channel takes.
    0: (0, 0, 0, 0),
    1: (0, 0, 1, 1),
    2: (0, 1, 2, 3),
}
_WAVEFORM = 3
_HIGH_FIRST = 1 << 15


@dataclass(frozen=True)
class PwmPort:
    """One PWM's place in the chip.

    Attributes:
        number: 0 to 3.
        base: address.
        gpio: the pins.
        dma: reads the sequences.
        other_driver: returns what else drives a pin, '' if nothing.
    """

    number: int
    base: int
    gpio: Gpio
    dma: EasyDma
    other_driver: Callable[[int, str], str]


class Pwm(NordicPeripheral):
    """A PWM; a sequence is read when it is started, has ended at once, and its last step stays.

    Loops, shortcuts, steps by a task and the waveform mode are not modelled.
    """

    def __init__(self, port: PwmPort) -> None:
        super().__init__(f"PWM{port.number}", port.base)
        self._port = port
        self._duty: tuple[float, ...] | None = None
        self.add_task(_STOP, "TASKS_STOP", self._stop)
        self.add_event(_STOPPED, "EVENTS_STOPPED")
        for index in range(2):
            self.add_task(
                _SEQSTART + 4 * index, f"TASKS_SEQSTART[{index}]", self._sequence_starter(index)
            )
            self.add_event(_SEQSTARTED + 4 * index, f"EVENTS_SEQSTARTED[{index}]")
            self.add_event(_SEQEND + 4 * index, f"EVENTS_SEQEND[{index}]")
        self.add_event(_PERIODEND, "EVENTS_PWMPERIODEND")
        self.add_event(_LOOPSDONE, "EVENTS_LOOPSDONE")
        self.add_shorts(0x1F)
        self.add_interrupts(0xFE)
        self.add(ENABLE, "ENABLE", bits=1, write=self._write_enable)
        self.add(_MODE, "MODE", bits=1)
        self.add(_COUNTERTOP, "COUNTERTOP", bits=0x7FFF, reset=0x3FF, write=self._write_top)
        self.add(_PRESCALER, "PRESCALER", bits=7)
        self.add(_DECODER, "DECODER", bits=0x103, write=self._write_decoder)
        self.add(_LOOP, "LOOP", bits=0xFFFF, write=self._write_loop)
        for index in range(2):
            at, name = _SEQ + _SEQ_STEP * index, f"SEQ[{index}]"
            self.add(at + _PTR, f"{name}.PTR")
            self.add(at + _CNT, f"{name}.CNT", bits=0x7FFF)
            self.add(at + _REFRESH, f"{name}.REFRESH", bits=0xFF_FFFF, reset=1)
            self.add(at + _ENDDELAY, f"{name}.ENDDELAY", bits=0xFF_FFFF)
        for channel in range(CHANNELS):
            self.add_pin_select(_OUT + 4 * channel, f"PSEL.OUT[{channel}]")

    @property
    def driven_pins(self) -> tuple[int, ...]:
        """The pins, 0 to 47, whose level this peripheral decides."""
        return tuple(self._channels) if self.values[ENABLE] else ()

    def level(self, pin: int) -> float | None:
        """Return the part of the time, 0 to 1, for which a pin is high; None: not driven by this.

        Raises:
            RuleBrokenError: it is driven by this and is no longer an output.
        """
        if not self.values[ENABLE] or self._duty is None:
            return None
        channel = self._channels.get(pin)
        if channel is None:
            return None
        if not self._port.gpio.is_output(pin):
            raise self._not_an_output(pin, channel, self._port.gpio.configured_at(pin))
        return self._duty[channel]

    @property
    def _channels(self) -> Mapping[int, int]:
        """The channel of each selected pin."""
        pins = {self.selected_pin(_OUT + 4 * channel): channel for channel in range(CHANNELS)}
        return {pin: channel for pin, channel in pins.items() if pin is not None}

    def _not_an_output(self, pin: int, channel: int, address: int | None = None) -> RuleBrokenError:
        return RuleBrokenError(
            f"{self.name} drives {pin_name(pin)}, which is not an output",
            why=f"it is selected by PSEL.OUT[{channel}]; pins that a peripheral drives must be "
            "configured as outputs",
            next_step=f"set DIR in PIN_CNF of {pin_name(pin)}, and leave it set",
            address=address,
        )

    def _write_enable(self, old: int, new: int) -> None:
        if old and not new:
            self._duty = None
        for pin in self._channels if new else ():
            other = self._port.other_driver(pin, self.name)
            if other:
                raise RuleBrokenError(
                    f"{self.name} was enabled on {pin_name(pin)}, which {other} drives",
                    why="only one peripheral may drive a pin",
                )

    def _write_top(self, _old: int, new: int) -> None:
        if new < SMALLEST_TOP:
            raise RuleBrokenError(
                f"{self.name}.COUNTERTOP was set to {new}",
                why=f"the counter must count to {SMALLEST_TOP} at least",
            )

    def _write_decoder(self, _old: int, new: int) -> None:
        if new & 3 == _WAVEFORM:
            raise RuleBrokenError(
                f"{self.name} was set to the waveform mode (DECODER.LOAD = 3)",
                why="the simulator models the modes common, grouped and individual: 0, 1 and 2",
            )
        if new >> 8:
            raise RuleBrokenError(
                f"{self.name} was set to go on by tasks (DECODER.MODE = 1)",
                why="the simulator models sequences that go on by counted periods only",
            )

    def _write_loop(self, _old: int, new: int) -> None:
        if new:
            raise RuleBrokenError(
                f"{self.name} was set to play its sequences {new} times (LOOP)",
                why="the simulator models sequences that are played once; their last step stays",
                next_step=f"write 0 to {self.name}.LOOP",
            )

    def _sequence_starter(self, index: int) -> Callable[[], None]:
        return lambda: self._start(index)

    def _start(self, index: int) -> None:
        task = f"{self.name}.TASKS_SEQSTART[{index}]"
        if not self.values[ENABLE]:
            raise RuleBrokenError(
                f"a sequence of {self.name} was started while {self.name} is not enabled",
                why=f"{self.name}.ENABLE is 0, so that {task} does nothing",
                next_step=f"write 1 to {self.name}.ENABLE first",
            )
        if not self._channels:
            raise RuleBrokenError(
                f"a sequence of {self.name} was started while it drives no pin",
                why=f"CONNECT, bit 31, is 1 in {self.name}.PSEL.OUT[0] to [3]: disconnected",
                next_step=f"write the pin to {self.name}.PSEL.OUT[0] before ENABLE",
            )
        for pin, channel in self._channels.items():
            if not self._port.gpio.is_output(pin):
                raise self._not_an_output(pin, channel)
        self._duty = self._duty_of_last_step(index)
        self.happened(_SEQSTARTED + 4 * index, _SEQEND + 4 * index, _PERIODEND)

    def _duty_of_last_step(self, index: int) -> tuple[float, ...]:
        at = _SEQ + _SEQ_STEP * index
        count = self.values[at + _CNT]
        takes = _VALUES_OF_LOAD[self.values[_DECODER] & 3]
        step = max(takes) + 1
        if not count:
            raise RuleBrokenError(
                f"an empty sequence of {self.name} was started (SEQ[{index}].CNT is 0)",
                why="CNT is the number of 16-bit values in RAM",
                next_step=f"write {step} to {self.name}.SEQ[{index}].CNT for one step",
            )
        if count % step:
            raise RuleBrokenError(
                f"a sequence of {self.name} has {count} values (SEQ[{index}].CNT)",
                why=f"with DECODER.LOAD = {self.values[_DECODER] & 3} each step takes {step}",
            )
        register = f"{self.name}.SEQ[{index}].PTR"
        data = self._port.dma.read(register, self.values[at + _PTR], 2 * count)
        values = struct.unpack(f"<{count}H", data)[-step:]
        return tuple(self._part_high(values[takes[channel]]) for channel in range(CHANNELS))

    def _part_high(self, value: int) -> float:
        """Return the part of a period for which an output is high.

        With bit 15 it is high until the counter meets the compare value; without, from there on.
        An output keeps its level where the counter never comes to the value (PS).
        """
        top = self.values[_COUNTERTOP]
        first = min((value & ~_HIGH_FIRST) / top, 1.0)
        return first if value & _HIGH_FIRST else 1 - first

    def _stop(self) -> None:
        self._duty = None
        self.happened(_STOPPED)
