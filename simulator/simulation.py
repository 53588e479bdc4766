"""Runs a request: a machine with its chip, listened to on the console."""

from __future__ import annotations

from collections.abc import Callable

from simulator.boot import read_start_state
from simulator.chips import ShowsScreen, Surroundings, find_chip
from simulator.console import ERROR_PREFIX, CaseLine, Console, ResultLine, parse_case, parse_result
from simulator.core import CycleCounter, SystemControlSpace
from simulator.machine import Machine
from simulator.request import Case, Inference, Screen, SimulationRequest, SimulationResult
from simulator.rules import RuleBrokenError
from simulator.symbols import Symbols
from toolchain.errors import SimulationFaultError, SimulationIncompleteError

INVOKE = "_ZN6tflite16MicroInterpreter6InvokeEv"
"""tflite::MicroInterpreter::Invoke(), as the linker knows it."""


def simulate(request: SimulationRequest, *, native_counter: bool = True) -> SimulationResult:
    """Run a flashable image until it did what was asked.

    The image is placed at the board's load address and started as the chip's boot code would.

    Args:
        request: what to run and when to end.
        native_counter: False counts instructions in Python, as on hosts without native code:
            the same results, many times slower.

    Raises:
        SimulationFaultError: the firmware broke a rule of the silicon, or halted.
        SimulationIncompleteError: the firmware reported an error, printed what cannot be read, or
            used up the instruction budget.
        FirmwareInvalidError: the ELF is not the one that the image was made from.
        BoardDescriptionError: the board's chip has no model, or lacks something the board uses.
    """
    return _Simulation(request, native_counter).run()


class _InvokeMeter:
    """Counts the instructions between the entry of Invoke and its return.

    Args:
        machine: its mark is moved from the entry to the return address and back.
        entry: address of Invoke.
    """

    def __init__(self, machine: Machine, entry: int) -> None:
        self._machine = machine
        self._entry = entry
        self._begin = 0
        self._total = 0
        machine.on_mark = self._on_mark
        machine.mark = entry

    def _on_mark(self, address: int) -> None:
        if address == self._entry:
            self._begin = self._machine.instructions
            self._machine.mark = self._machine.return_address
        else:
            self._total += self._machine.instructions - self._begin
            self._machine.mark = self._entry

    def take(self) -> int:
        """Return the instructions of all inferences since the last call."""
        total, self._total = self._total, 0
        return total


class _LineMeter:
    """Counts the instructions from one taking to the next."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._begin = 0

    def take(self) -> int:
        """Return the instructions since the last call."""
        begin, self._begin = self._begin, self._machine.instructions
        return self._begin - begin


class _Simulation:
    def __init__(self, request: SimulationRequest, native_counter: bool) -> None:
        self._request = request
        self._inferences: list[Inference] = []
        self._cases: list[Case] = []
        self._screen: Screen | None = None
        self._ended = False
        board = request.board
        load_address = board.application.load_address
        chip_module = find_chip(board)
        symbols = Symbols.of_file(request.elf, request.image, load_address)
        try:
            chip_module.check_image(board, request.image)
            start = read_start_state(board, request.image)
        except RuleBrokenError as error:
            raise SimulationFaultError(
                f"{error.what}, {symbols.location(error.address or load_address)}",
                why=error.why,
                next_step=error.next_step,
            ) from None
        self._machine = machine = Machine(
            board,
            request.image,
            start.stack_pointer,
            start.entry,
            symbols,
            native_counter=native_counter,
        )
        self._console = Console(self._on_line)
        core = SystemControlSpace(board, machine.clock, machine.has_memory, machine.set_fpu)
        self._chip = chip_module.make_chip(
            Surroundings(
                board,
                machine.clock,
                self._put,
                machine.program_counter,
                machine.read_memory,
                core.is_cached,
            )
        )
        machine.console_tail = lambda: self._console.tail
        machine.address_owner = self._chip.owner
        machine.add_peripherals(
            (*self._chip.peripherals, core, CycleCounter(machine.clock, lambda: core.trace_enabled))
        )
        invoke = symbols.address_of(INVOKE)
        self._counted_by_invoke = invoke is not None
        self._take_instructions: Callable[[], int] = (
            _LineMeter(machine).take if invoke is None else _InvokeMeter(machine, invoke).take
        )

    def run(self) -> SimulationResult:
        self._machine.run(self._request.instruction_budget, self._request.waited_for)
        return SimulationResult(
            console=self._console.text,
            inferences=tuple(self._inferences),
            instructions=self._machine.instructions,
            counted="invoke" if self._counted_by_invoke else "line",
            screen=self._screen,
            cases=tuple(self._cases),
        )

    def _put(self, byte: int) -> None:
        # A peripheral that sends a whole buffer goes on after the line that ended the run.
        if not self._ended:
            self._console.put(byte)

    def _on_line(self, line: str) -> None:
        if line.startswith(ERROR_PREFIX):
            done = self._results
            raise SimulationIncompleteError(
                f"the firmware stopped itself: {line.removeprefix(ERROR_PREFIX)}",
                why=f"{done} inference{' was' if done == 1 else 's were'} done before",
                next_step="see where the firmware's sources have this text",
            )
        if result := parse_result(line):
            self._add_inference(result)
        elif case := parse_case(line):
            self._add_case(case)
        elif not self._counted_by_invoke:
            self._take_instructions()
        if self._request.until_text is not None and self._request.until_text in line:
            self._end()

    @property
    def _results(self) -> int:
        return len(self._inferences) + len(self._cases)

    def _add_inference(self, line: ResultLine) -> None:
        self._inferences.append(
            Inference(
                x=line.x,
                y=line.y,
                raw_in=line.raw_in,
                raw_out=line.raw_out,
                x_bits=line.x_bits,
                y_bits=line.y_bits,
                instructions=self._take_instructions(),
                brightness=dict(self._chip.brightness()),
            )
        )
        self._end_after_enough()

    def _add_case(self, line: CaseLine) -> None:
        self._cases.append(Case(line.number, line.equal, line.outputs, self._take_instructions()))
        self._end_after_enough()

    def _end_after_enough(self) -> None:
        if self._results == self._request.inferences:
            self._end()

    def _end(self) -> None:
        self._ended = True
        if isinstance(self._chip, ShowsScreen):
            self._screen = self._chip.screen()
        self._machine.stop()
