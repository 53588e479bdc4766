from __future__ import annotations

import ctypes
import importlib
import struct
from pathlib import Path
from typing import Any

import pytest

from simulator.counter import HOST_CODE, NO_MARK, InstructionCounter
from simulator.simulation import INVOKE
from tests.unit.simulator_support import (
    CONSOLE,
    EDGE,
    FPU,
    FUNCTIONS,
    LED,
    NOP,
    RESULT,
    VMOV_S0_R0,
    YIELD,
    Call,
    Load,
    Operation,
    Poke,
    Raw,
    Say,
    brightness,
    firmware,
    run,
    run_image,
    symbol_file,
)

DONE = (*CONSOLE, Say("done\r\n"))
RAM = EDGE.ram.origin

IT_BLOCKS = Raw(
    (
        *(0x2005, 0x2805),  # movs r0, #5; cmp r0, #5
        *(0xBF0C, 0x3001, 0x3002),  # ite eq; addeq r0, #1; addne r0, #2
        *(0xBF1F, 0x3001, 0x3002, 0x3003, 0x3004),  # itttt ne, none runs
        *(0xBF04, 0x3001, 0x3002),  # itt eq
        *(0xBF08, 0xF100, 0x0001),  # it eq; addeq.w r0, r0, #1
    )
)
IT_INSTRUCTIONS = 2 + 2 + 1 + 3 + 2  # those that are skipped do not count
COUNTED_LOOP = (Load(3, 1000), Raw((0x3B01, 0xD1FD)))  # subs r3, #1; bne

PROGRAMS: dict[str, tuple[tuple[Operation, ...], int]] = {
    "straight": ((Raw((NOP,) * 50),), 50),
    "wide and narrow": ((Raw((NOP, 0xF3AF, 0x8000, NOP)),), 3),
    "IT blocks": ((IT_BLOCKS,), IT_INSTRUCTIONS),
    "loop": (COUNTED_LOOP, 2 + 2 * 1000),
    "yields": ((Raw((YIELD, NOP, YIELD, YIELD)),), 4),
    "floating point off and on": ((Raw((NOP,)), *FPU, Raw(VMOV_S0_R0 * 3)), 1 + 5 + 3),
    "first write to guarded memory": ((Poke(RAM + 0x8000, 1), Poke(RAM + 0x8004, 1)), 2 * 5),
    "call": ((Call(FUNCTIONS),), 2 + 1 + 3),
    "push and pop of many": ((Raw((0xE92D, 0x5FFF, 0xE8BD, 0x5FFF)),), 2),
}
CALLED = (Raw((NOP, NOP, 0x4770)),)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("native", [True, False])
def test_each_instruction_counts_once_with_either_counter(name: str, native: bool) -> None:
    parts, expected = PROGRAMS[name]
    runs = [
        run(*program, DONE, functions=CALLED, native_counter=native).instructions
        for program in ((), (parts,), (parts,))
    ]
    assert runs[1] - runs[0] == expected
    assert runs[2] == runs[1]


@pytest.mark.parametrize("native", [True, False])
def test_the_run_ends_with_the_store_that_completes_the_line(native: bool) -> None:
    # Per byte: ldr, lsls, bmi, movw, movt, str; once: movw, movt.
    alone = run(DONE, native_counter=native).instructions
    longer = run(*CONSOLE, Say("12345\r\ndone\r\n"), native_counter=native).instructions
    assert longer - alone == 7 * 6
    assert (
        run(*CONSOLE, Say("done\r\n"), Raw((NOP,) * 9), native_counter=native).instructions == alone
    )


def test_on_this_host_instructions_are_counted_by_native_code() -> None:
    assert InstructionCounter(lambda _address: True).is_native
    assert not InstructionCounter(lambda _address: True, native=False).is_native


@pytest.mark.parametrize("native", [True, False])
def test_an_inference_is_counted_from_the_entry_of_invoke_to_its_return(
    tmp_path: Path, native: bool
) -> None:
    # push {lr}; nop; bl next; pop {pc}; next: bx lr
    invoke = Raw((0xB500, NOP, 0xF000, 0xF801, 0xBD00, 0x4770))
    parts = (*CONSOLE, Call(FUNCTIONS), Say(RESULT), Call(FUNCTIONS), Call(FUNCTIONS), Say(RESULT))
    image = firmware(parts, functions=[invoke]).image
    elf = symbol_file(tmp_path / "a.elf", image, {INVOKE: (FUNCTIONS, 12)})
    result = run_image(image, elf=elf, inferences=2, native_counter=native)
    assert result.counted == "invoke"
    assert [inference.instructions for inference in result.inferences] == [5, 10]


@pytest.mark.parametrize("native", [True, False])
def test_without_symbols_an_inference_is_counted_from_line_to_line(native: bool) -> None:
    parts = (*CONSOLE, Say("banner\r\n"), Raw((NOP,) * 10), Say(RESULT), Say(RESULT))
    result = run(parts, inferences=2, native_counter=native)
    assert result.counted == "line"
    line = 2 + 6 * len(RESULT)
    assert [inference.instructions for inference in result.inferences] == [10 + line, line]


@pytest.mark.parametrize("parts", [(IT_BLOCKS,), COUNTED_LOOP, LED])
def test_both_counters_give_the_same_run(parts: tuple[Operation, ...]) -> None:
    native, python = (
        run(FPU, *CONSOLE, parts, Say(RESULT), inferences=1, native_counter=native)
        for native in (True, False)
    )
    assert native == python


def test_counting_does_not_change_what_the_program_computes() -> None:
    assert brightness(IT_BLOCKS, LED)["red"] == 0.25


def emulated_hook(architecture: str, cell: bytes, address: int) -> tuple[int, int, bool]:
    """Run the counter's host code on an emulated host; return count, last and if it called."""
    code_at, cell_at, function_at, return_at = 0x1000, 0x2000, 0x3000, 0x4000
    x86: Any = importlib.import_module("unicorn.x86_const")
    arm: Any = importlib.import_module("unicorn.arm64_const")
    unicorn: Any = importlib.import_module("unicorn")
    if architecture == "x86_64":
        engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    else:
        engine = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
    engine.mem_map(0, 0x10000)
    engine.mem_write(code_at, HOST_CODE[architecture])
    engine.mem_write(cell_at, cell)
    if architecture == "x86_64":
        engine.mem_write(0x8000, struct.pack("<Q", return_at))
        registers = (x86.UC_X86_REG_RSP, x86.UC_X86_REG_RSI, x86.UC_X86_REG_RCX)
        values = (0x8000, address, cell_at)
        place = x86.UC_X86_REG_RIP
    else:
        registers = (arm.UC_ARM64_REG_LR, arm.UC_ARM64_REG_X1, arm.UC_ARM64_REG_X3)
        values = (return_at, address, cell_at)
        place = arm.UC_ARM64_REG_PC
    for register, value in zip(registers, values, strict=True):
        engine.reg_write(register, value)
    for stop in (return_at, function_at):
        engine.hook_add(unicorn.UC_HOOK_CODE, lambda uc, *_: uc.emu_stop(), None, stop, stop)
    engine.emu_start(code_at, 0)
    count, _limit, _mark, _function, last = struct.unpack("<5Q", engine.mem_read(cell_at, 40))
    stopped_at = engine.reg_read(place)
    assert stopped_at in {return_at, function_at}
    return count, last, stopped_at == function_at


@pytest.mark.parametrize("architecture", sorted(HOST_CODE))
@pytest.mark.parametrize(
    ("count", "limit", "mark", "address", "called"),
    [
        (0, 10, NO_MARK, 0xC000, False),
        (9, 10, NO_MARK, 0xC000, False),
        (10, 10, NO_MARK, 0xC000, True),
        (11, 10, NO_MARK, 0xC000, False),
        (3, 10, 0xC000, 0xC000, True),
        (3, 10, 0xC002, 0xC000, False),
        (0xFFFF_FFFF, 1 << 40, NO_MARK, 0xFFFF_FFFE, False),
    ],
)
def test_the_host_code_counts_and_calls_on_each_architecture(
    architecture: str, count: int, limit: int, mark: int, address: int, called: bool
) -> None:
    cell = struct.pack("<5Q", count, limit, mark, 0x3000, 0x77)
    after = emulated_hook(architecture, cell, address)
    assert after == ((count, 0x77, True) if called else (count + 1, address, False))


@pytest.mark.parametrize("native", [True, False])
def test_the_counter_keeps_the_last_instruction_that_ran(native: bool) -> None:
    asked: list[int] = []

    def on_event(address: int) -> bool:
        asked.append(address)
        return address != 0xC004

    counter = InstructionCounter(on_event, native=native)
    counter.mark = 0xC002
    call = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_void_p
    )
    hooked: list[tuple[ctypes.c_void_p, ctypes.Structure]] = []

    class Engine:
        def hook_instructions(self, function: ctypes.c_void_p, cell: ctypes.Structure) -> None:
            hooked.append((function, cell))

    counter.attach(Engine())  # type: ignore[arg-type]
    ((function, cell),) = hooked
    assert function.value is not None
    hook = call(function.value)
    counter.limit = 100
    seen = []
    for address in (0xC000, 0xC002, 0xC004):
        if address == 0xC004:
            counter.limit = counter.count
        hook(None, address, 2, ctypes.addressof(cell))
        seen.append((counter.count, counter.last))
    assert asked == [0xC002, 0xC004]
    assert seen == [(1, 0xC000), (2, 0xC002), (2, 0xC002)]
