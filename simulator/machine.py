"""The core, its memories and peripherals, running one image; every broken rule ends the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from simulator.clock import Clock
from simulator.counter import InstructionCounter
from simulator.engine import (
    ALL_REGISTERS,
    CORE_REGISTERS,
    LINK_REGISTER,
    PAGE,
    PROGRAM_COUNTER,
    PROGRAM_STATUS,
    STACK_POINTER,
    Access,
    Engine,
)
from simulator.halt import HALT_WINDOW, TRACED, describe_idle_loop, is_endless
from simulator.instructions import (
    double_load_address,
    double_load_base,
    far_moves_of_the_stack,
    is_floating_point,
    loads_one_word,
    loads_several_words,
    sleep_or_yield,
)
from simulator.memory import LARGEST_UNSEEN_MOVE, MemoryMap
from simulator.registers import Peripheral
from simulator.rules import RuleBrokenError
from simulator.symbols import Symbols
from toolchain.boards import Board
from toolchain.errors import SimulationFaultError, SimulationIncompleteError

_LONGEST_WINDOW = 8_000_000
"""Instructions between two looks at a core that computes; also how long Ctrl-C may wait."""

_RETURN_FROM_RESET = 0xFFFF_FFFF
_THUMB_BIT = 1 << 24
_NOTHING_TO_FETCH = 3
_EXCEPTIONS = {
    1: ("an undefined instruction ran", "the program jumped into data or past its end"),
    2: ("the core took a supervisor call (svc)", "no system call handler is modelled"),
    7: ("the core met a breakpoint (bkpt)", "no debugger is there: on the board it is a HardFault"),
    8: (
        "the program returned from its reset handler or from an exception that never was",
        "nothing called the reset handler, so it must not return",
    ),
    17: ("a coprocessor that is not there was used", "the code is made for another core"),
}


class Machine:
    """A core in reset state, with nothing in its address space but memories.

    Args:
        board: says which core, and where memories are.
        image: the flashable file.
        stack_pointer: what the boot code loads; its top of stack.
        entry: address of the first instruction, bit 0 set.
        symbols: for messages.
        native_counter: whether host code may count; False is slower and the same.

    Attributes:
        clock: time for timers.
        console_tail: returns what the firmware printed last, for messages.
        address_owner: returns who owns an address where nothing is modelled, or ''.
        on_mark: called when the instruction at ``mark`` is about to run.
    """

    def __init__(
        self,
        board: Board,
        image: bytes,
        stack_pointer: int,
        entry: int,
        symbols: Symbols,
        *,
        native_counter: bool = True,
    ) -> None:
        self._board = board
        self._application = board.application_region
        self._symbols = symbols
        self._engine = engine = Engine(board.core.cpu)
        self._memory = MemoryMap(engine, board, image, stack_pointer)
        self._counter = InstructionCounter(self._event, native=native_counter)
        self._counter.attach(engine)
        self.clock = Clock(lambda: self._counter.count)
        self.console_tail: Callable[[], str] = str
        self.address_owner: Callable[[int], str] = lambda _address: ""
        self.on_mark: Callable[[int], None] = lambda _address: None
        self._failure: BaseException | None = None
        self._event_address: int | None = None
        self._fpu_on = False
        self._not_floating_point: set[int] = set()
        self._stop_asked = False
        self._stopped = False
        self._limit = 0
        self._window = HALT_WINDOW
        self._writes = self._writes_at_limit = 0
        self._trace: list[tuple[int, ...]] | None = None
        self._polled: dict[tuple[Peripheral, int], int] = {}
        self._peripherals: list[Peripheral] = []
        self._word_read_at = self._word_read_offset = 0
        self._add_hooks()
        if self._memory.border:
            self._add_peripheral(self._memory.border)
        engine.write_register(STACK_POINTER, stack_pointer)
        engine.write_register(LINK_REGISTER, _RETURN_FROM_RESET)
        self._entry = entry
        self._watch_far_moves(image)

    @property
    def instructions(self) -> int:
        """Instructions executed since reset."""
        return self._counter.count

    @property
    def mark(self) -> int:
        """Address of the instruction before which ``on_mark`` is called."""
        return self._counter.mark

    @mark.setter
    def mark(self, address: int) -> None:
        self._counter.mark = address

    @property
    def return_address(self) -> int:
        """Where the function that was just entered returns to."""
        return self._engine.read_register(LINK_REGISTER) & ~1

    def program_counter(self) -> int:
        """Return the address of the running instruction."""
        return self._engine.read_register(PROGRAM_COUNTER)

    def has_memory(self, address: int, size: int) -> bool:
        """Return whether the application can read ``size`` bytes at ``address`` as memory."""
        regions = [each for each in self._board.memory if each.kind == "ram"]
        return any(
            region.contains(address, size) for region in (*regions, self._board.application_region)
        )

    def read_memory(self, address: int, size: int) -> bytes | None:
        """Return what memory of the application holds; None where not all of it is such memory."""
        return self._memory.read(address, size) if self.has_memory(address, size) else None

    def add_peripherals(self, peripherals: Iterable[Peripheral]) -> None:
        """Put peripherals into the address space."""
        for peripheral in peripherals:
            self._add_peripheral(peripheral)

    def _add_peripheral(self, peripheral: Peripheral) -> None:
        readers, writers = peripheral.readers, peripheral.writers
        counter = self._counter
        self._peripherals.append(peripheral)

        def read(_engine: int, offset: int, size: int, _data: int) -> int:
            try:
                if self._trace is not None:
                    self._polled[peripheral, offset] = self._counter.last
                if size == 4 and offset in readers:
                    count = counter.count
                    if count == self._word_read_at:
                        self._check_another_word(peripheral, offset)
                    self._word_read_at, self._word_read_offset = count, offset
                    return readers[offset]()
                if offset >= peripheral.size:
                    raise self._bad_access(Access.READ, peripheral.base + offset, size)
                return peripheral.read(offset, size)
            except BaseException as error:
                self._fail(error)
                return 0

        def write(_engine: int, offset: int, size: int, value: int, _data: int) -> None:
            try:
                self._writes += 1
                if size == 4 and offset in writers:
                    writers[offset](value)
                elif offset >= peripheral.size:
                    raise self._bad_access(Access.WRITE, peripheral.base + offset, size)
                else:
                    peripheral.write(offset, size, value)
            except BaseException as error:
                self._fail(error)

        pages = -(-peripheral.size // PAGE)
        self._engine.map_callbacks(peripheral.base, pages * PAGE, read, write)

    def _check_another_word(self, peripheral: Peripheral, offset: int) -> None:
        """Check a word that an instruction reads after another one.

        The engine splits an unaligned read of a word into two, and of a double word into four.
        """
        at = self._counter.last
        first, second = self._halfword(at), self._halfword(at + 2)
        upper = offset
        base = double_load_base(first, second)
        if base is not None:
            value = self._engine.read_register(CORE_REGISTERS[base])
            unaligned = bool(value & 3)
            upper = (double_load_address(first, second, value) - peripheral.base & ~3) + 4
        elif loads_several_words(first) and not loads_one_word(first, second):
            # Each of its words begins where the one before it ended.
            unaligned = offset == self._word_read_offset
        else:
            unaligned = True
        if unaligned:
            raise RuleBrokenError(
                f"unaligned read from {peripheral.register_name(upper - 4)} and "
                f"{peripheral.register_name(upper)}",
                why="a peripheral's registers take whole aligned words only",
                next_step="compare the register's address with the data sheet",
            )

    def set_fpu(self, on: bool) -> None:
        """Switch the floating-point unit; while it is off every instruction is looked at."""
        self._fpu_on = on
        self._arm()

    def stop(self) -> None:
        """End the run before the next instruction."""
        self._stop_asked = True
        self._counter.limit = self._counter.count

    def run(self, budget: int, waited_for: str) -> None:
        """Run from reset until ``stop`` is called.

        Args:
            budget: instructions after which the run is given up.
            waited_for: what ends the run, in words.

        Raises:
            SimulationFaultError: a rule was broken, or the firmware halted.
            SimulationIncompleteError: the budget is used up.
        """
        self._budget, self._waited_for = budget, waited_for
        self._limit = min(self._window, budget)
        self._arm()
        begin = self._entry
        while not self._stopped:
            problem = self._engine.run(begin)
            if self._failure is not None:
                raise self._explained(self._failure)
            if self._stopped:
                break
            self._after_silent_end(problem, begin)
            begin = self.program_counter() | 1

    def _after_silent_end(self, problem: str, begin: int) -> None:
        """Handle an end of the engine that no hook explains: it stops at hints and bad code."""
        address = self.program_counter()
        hint = sleep_or_yield(self._halfword(address - 2))
        if address == begin & ~1:
            hint = None  # the instruction here has failed, not the one before
        if hint == "yield":
            return
        try:
            if hint is not None:
                raise RuleBrokenError(
                    f"the firmware halted: the core sleeps ({hint}) and nothing will wake it",
                    why=f"no interrupt is enabled; {self._still_waiting()}",
                    next_step="read the console's last line for the firmware's own message",
                    address=address - 2,
                )
            if not self._engine.read_register(PROGRAM_STATUS) & _THUMB_BIT:
                raise RuleBrokenError(
                    f"the core left Thumb state, to 0x{address:08X}",
                    why="a branch or a function pointer went to an even address: UsageFault",
                    address=self._counter.last,
                )
            what, why = _EXCEPTIONS[1]
            raise RuleBrokenError(what, why=f"{why} ({problem})", address=address)
        except RuleBrokenError as error:
            raise self._explained(error) from None

    def _add_hooks(self) -> None:
        def exception(number: int) -> None:
            if number == _NOTHING_TO_FETCH:
                self._fail(self._bad_access(Access.FETCH, self.program_counter(), 2))
                return
            what, why = _EXCEPTIONS.get(
                number, (f"the core took exception {number}", "no handler of it is modelled")
            )
            self._fail(RuleBrokenError(what, why=why, address=self._counter.last))

        def refused(access: Access, address: int, size: int, value: int) -> bool:
            try:
                if access is Access.WRITE and self._memory.allow_write(address, size, value):
                    return True
                raise self._bad_access(access, address, size)
            except BaseException as error:
                self._fail(error)
                return False

        self._engine.hook_exceptions(exception)
        self._engine.hook_refused_accesses(refused)

    def _watch_far_moves(self, image: bytes) -> None:
        """Look at the stack pointer after each instruction that may move it past the border.

        Most programs have none; all instructions of one that has are a little slower.
        """
        origin = self._board.application_region.origin
        moves = far_moves_of_the_stack(image, LARGEST_UNSEEN_MOVE + 1)
        begin_of = {origin + end: origin + begin for begin, end in moves}

        def moved(end: int) -> None:
            try:
                self._memory.stack.check_pointer(self._engine.read_register(STACK_POINTER))
            except RuleBrokenError as error:
                error.address = begin_of[end]
                self._fail(error)

        self._engine.hook_addresses(begin_of, moved)

    def _bad_access(self, access: Access, address: int, size: int) -> RuleBrokenError:
        where = f"0x{address:08X}"
        flash = self._board.application_region
        if access is Access.WRITE and flash.contains(address):
            return RuleBrokenError(
                f"{size} bytes were written to flash at {where}",
                why="flash cannot be written like RAM: a pointer to constant data lost its const, "
                "or data was not copied to RAM at the start",
            )
        reserved = next((r.name for r in self._board.reserved if r.contains(address)), "")
        modelled = next((p.name for p in self._peripherals if p.holds(address)), "")
        owner = self.address_owner(address)
        if reserved:
            why = f"it belongs to the {reserved}, which is not the application's"
            if address < 0x1000:
                why += "; most likely a null pointer was used"
        elif modelled:
            why = f"it belongs to {modelled}, which holds no instructions"
        elif owner:
            why = f"it belongs to {owner}, which the simulator has no model of"
        elif access is Access.FETCH:
            why = "nothing is at this address"
        else:
            why = "nothing is at this address: a wild pointer, or a wrong peripheral address"
        jump = None
        if access is Access.FETCH:
            jump = self._counter.last
            why += "; a function pointer or a return address on the stack is wrong"
        return RuleBrokenError(f"{size} bytes were {access.value} {where}", why=why, address=jump)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            if isinstance(error, RuleBrokenError) and error.address is None:
                # During an event the engine's own counter may lag behind.
                error.address = self._event_address or self.program_counter()
            self._failure = error
        self._engine.stop()

    def _explained(self, error: BaseException) -> BaseException:
        """Turn a broken rule into the error that the user sees; leave others as they are."""
        if not isinstance(error, RuleBrokenError):
            return error
        address = self.program_counter() if error.address is None else error.address
        return SimulationFaultError(
            f"{error.what}, {self._symbols.location(address)}",
            why=error.why,
            next_step=error.next_step,
        )

    def _still_waiting(self) -> str:
        tail = self.console_tail()
        said = f"the console said last: {tail}" if tail else "the console said nothing"
        return f"waited for {self._waited_for}; {said}"

    # Events of the counter. Each may end the run by _fail; none raises into the engine.

    def _event(self, address: int) -> bool:
        if self._failure is not None or self._stopped:
            self._engine.stop()
            return False
        self._event_address = address
        try:
            return self._handle_event(address)
        except BaseException as error:
            self._fail(error)
            return False
        finally:
            self._event_address = None

    def _handle_event(self, address: int) -> bool:
        if self._stop_asked:
            self._stopped = True
            self._engine.stop()
            return False
        count = self._counter.count
        if count >= self._limit:
            self._at_limit(count)
        if self._trace is not None:
            self._follow(address)
        if not self._fpu_on and address not in self._not_floating_point:
            self._check_without_fpu(address)
        if address == self._counter.mark:
            self.on_mark(address)
        self._arm(will_run=True)
        return True

    def _arm(self, *, will_run: bool = False) -> None:
        """Set the counter's limit to the next instruction that must be looked at."""
        if self._stop_asked or not self._fpu_on or self._trace is not None:
            self._counter.limit = self._counter.count + will_run
        else:
            self._counter.limit = self._limit

    def _check_without_fpu(self, address: int) -> None:
        code = self._engine.read_memory(address, 4) or self._engine.read_memory(address, 2) or b""
        first, second = (int.from_bytes(half, "little") for half in (code[:2], code[2:]))
        if is_floating_point(first, second):
            raise RuleBrokenError(
                "a floating-point instruction ran while the floating-point unit is off",
                why="SCB.CPACR gives no access to coprocessors 10 and 11: NOCP UsageFault",
                next_step="enable the FPU in the reset handler: CPACR |= 0xF << 20, then dsb, isb",
                address=address,
            )
        if self._application.contains(address):
            self._not_floating_point.add(address)

    def _at_limit(self, count: int) -> None:
        if count >= self._budget:
            address = self._event_address or self.program_counter()
            raise SimulationIncompleteError(
                f"{count:,} instructions ran without {self._waited_for}; "
                f"the next one is {self._symbols.location(address)}",
                why=self._still_waiting(),
                next_step="look for a loop that takes too long at this place",
            )
        if self._writes == self._writes_at_limit:
            self._trace = []
            self._polled.clear()
            self.clock.was_read = False
            self._window = min(2 * self._window, _LONGEST_WINDOW)
        else:
            self._window = HALT_WINDOW
        self._writes_at_limit = self._writes
        self._limit = min(count + self._window, self._budget)

    def _follow(self, address: int) -> None:
        trace = self._trace
        assert trace is not None
        registers = [self._engine.read_register(register) for register in ALL_REGISTERS]
        trace.append((address, *registers))
        if len(trace) < TRACED:
            return
        self._trace = None
        if self.clock.was_read or self._writes != self._writes_at_limit or not is_endless(trace):
            return
        polled = sorted(self._polled, key=lambda each: (each[0].base, each[1]))
        what, why = describe_idle_loop(polled)
        raise RuleBrokenError(
            what,
            why="; ".join(filter(None, (why, self._still_waiting()))),
            address=self._polled[polled[0]] if polled else address,
        )

    def _halfword(self, address: int) -> int:
        return int.from_bytes(self._engine.read_memory(address, 2) or b"", "little")
