"""The functions of float that the judge has, against those that the boards' C library has."""

from __future__ import annotations

import importlib
import io
import re
import struct
from typing import Any

from elftools.elf.elffile import ELFFile

from tests.conftest import RunSteps
from tests.containers.host_bench import HostBench
from tests.containers.model_bench import P
from toolchain.actions import OutputOf, Step
from toolchain.layout import Layout
from toolchain.pins import Pins
from toolchain.pipeline.host_build import HOST_LIBRARY

unicorn: Any = importlib.import_module("unicorn")
arm_const: Any = importlib.import_module("unicorn.arm_const")

# What the kernels call: those of one argument, then those of two. Every C library rounds the root
# correctly, and the last ones do not round at all.
UNARY = ("cosf", "expf", "logf", "sinf", "tanhf", "sqrtf", "roundf")
BINARY = ("fmaxf", "fminf")
NO_FLOAT = {"round", "frexp"}
COUNT = 20_000

SOURCE = "#include <math.h>\nvoid run(const float *in, float *out, int count) {\n"
SOURCE += "  for (int i = 0; i < count; ++i) {\n    float x = in[i], y = in[count - 1 - i];\n"
SOURCE += "".join(f"    *out++ = {name}(x);\n" for name in UNARY)
SOURCE += "".join(f"    *out++ = {name}(x, y);\n" for name in BINARY)
SOURCE += "  }\n}\n"
MAIN = f"""
#include <stdio.h>
void run(const float *in, float *out, int count);
float in[{COUNT}], out[{COUNT * (len(UNARY) + len(BINARY))}];
int main(void) {{
  if (fread(in, sizeof(float), {COUNT}, stdin) != {COUNT}) return 1;
  run(in, out, {COUNT});
  return fwrite(out, sizeof(out), 1, stdout) == 1 ? 0 : 1;
}}
"""
BUILD = """
flags='-O2 -ffp-contract=off -fno-builtin run.c'
arm-none-eabi-gcc $flags -mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard \\
    -nostartfiles --specs=nano.specs -Wl,-Ttext=0x10000 -Wl,--entry=run -lm -o /out/elf
x86_64-linux-gnu-gcc $flags main.c -static /opt/newlib/lib/libm.a -lm -o /tmp/program
x86_64-linux-gnu-gcc $flags main.c -static -lm -o /tmp/other
/tmp/program < numbers > /out/computed
/tmp/other < numbers > /out/otherwise
"""
IN, OUT, STACK, END = 0x2000_0000, 0x2100_0000, 0x3F_0000, 0x30_0000
ACCESS_CONTROL = 0xE000_ED88


def numbers() -> bytes:
    """Half of them any bits, half of them spread evenly from -12 to 12."""
    state, values = 1, bytearray()
    for place in range(COUNT):
        # Knuth's MMIX generator.
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        spread = struct.pack("<f", (state >> 40) / 2**24 * 24 - 12)
        values += spread if place % 2 else struct.pack("<I", state >> 32)
    return bytes(values)


def on_the_board(elf: bytes, given: bytes) -> bytes:
    """Run the Arm program in Unicorn and return what it computes."""
    size = len(given) * (len(UNARY) + len(BINARY))
    core = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    core.ctl_set_cpu_model(arm_const.UC_CPU_ARM_CORTEX_M4)
    for start, length in ((0, 0x40_0000), (IN, 0x200_0000), (0xE000_0000, 0x10_0000)):
        core.mem_map(start, length)
    core.mem_write(ACCESS_CONTROL, struct.pack("<I", 0xF << 20))
    file = ELFFile(io.BytesIO(elf))
    for segment in file.iter_segments("PT_LOAD"):
        core.mem_write(segment["p_vaddr"], segment.data())
    core.mem_write(IN, given)
    for register, value in (
        (arm_const.UC_ARM_REG_FPEXC, 1 << 30),
        (arm_const.UC_ARM_REG_R0, IN),
        (arm_const.UC_ARM_REG_R1, OUT),
        (arm_const.UC_ARM_REG_R2, COUNT),
        (arm_const.UC_ARM_REG_SP, STACK),
        (arm_const.UC_ARM_REG_LR, END | 1),
    ):
        core.reg_write(register, value)
    core.emu_start(file.header["e_entry"] | 1, END)
    return bytes(core.mem_read(OUT, size))


def rows(computed: bytes) -> list[tuple[str, ...]]:
    """Return the bits of each function's results; those of one that is no number are not told."""
    width = len(UNARY) + len(BINARY)
    results = [value[0] for value in struct.iter_unpack("<I", computed)]
    texts = ["NaN" if value & 0x7FFF_FFFF > 0x7F80_0000 else f"{value:08x}" for value in results]
    return [tuple(texts[place::width]) for place in range(width)]


def test_the_judge_computes_functions_of_float_as_the_boards_do(
    host_image: str, run_steps: RunSteps
) -> None:
    given = numbers()
    step = Step(
        name="functions of float",
        image=host_image,
        arguments=("sh", "-euc", BUILD),
        inputs={P("run.c"): SOURCE.encode(), P("main.c"): MAIN.encode(), P("numbers"): given},
        outputs=(P("elf"), P("computed"), P("otherwise")),
    )
    runner, results = run_steps([step])
    elf, computed, otherwise = (
        runner.store.get(results[step.name].outputs[path]) for path in step.outputs
    )
    wanted, got, other = rows(on_the_board(elf, given)), rows(computed), rows(otherwise)
    for place, name in enumerate((*UNARY, *BINARY)):
        assert len(set(wanted[place])) > COUNT // 5, name
        assert got[place] == wanted[place], name
    # What the other C library computes is not the same, or all this would be for nothing.
    assert all(other[place] != wanted[place] for place in range(UNARY.index("sqrtf")))


def test_the_kernels_call_no_other_functions_of_float(
    layout: Layout, host_image: str, run_steps: RunSteps
) -> None:
    bench = HostBench(layout, host_image, run_steps)
    library = bench.runner_steps()[0]
    script = """
        x86_64-linux-gnu-nm --defined-only /usr/lib/x86_64-linux-gnu/libm-*.a > /out/defined
        x86_64-linux-gnu-nm --undefined-only library > /out/called
    """
    symbols = Step(
        name="symbols",
        image=host_image,
        arguments=("sh", "-euc", script),
        inputs={P("library"): OutputOf(library.name, HOST_LIBRARY)},
        outputs=(P("defined"), P("called")),
    )
    runner, results = bench.run_steps([library, symbols])
    defined, called = (
        set(re.findall(r" [TWiU] (\w+)$", runner.store.get(digest).decode(), re.MULTILINE))
        for digest in (results[symbols.name].outputs[path] for path in symbols.outputs)
    )
    assert called & defined <= {*UNARY, *BINARY, *NO_FLOAT}
    assert {*UNARY, *BINARY} <= called


def test_both_are_of_one_version(pins: Pins) -> None:
    boards = pins.cross.packages["libnewlib-arm-none-eabi"].version
    assert pins.host_compiler.packages["newlib-source"].version == boards
