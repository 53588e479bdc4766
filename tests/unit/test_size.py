from __future__ import annotations

import dataclasses
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from toolchain.boards import find_board
from toolchain.firmware.elf import FirmwareElf, Section, Segment, ram_used
from toolchain.firmware.size import Piece, layer_of, parse_link_map, size_report

BOARD = find_board(Path(__file__).resolve().parents[2] / "boards", "sparkfun_edge")
LOAD = BOARD.application.load_address
RAM = BOARD.ram.origin

MAP = f"""\
Discarded input sections

 .text          0x00000000     0x9999 obj/boards/common/never.cc.o

Linker script and memory map

LOAD obj/boards/common/startup.cc.o
.text           0x{LOAD:08x}      0x100
 .text.Reset_Handler
                0x{LOAD:08x}       0x10 obj/boards/common/startup.cc.o
                0x{LOAD:08x}                Reset_Handler
 .text.invoke   0x{LOAD + 0x10:08x}       0x20 lib/libtensorflow-microlite.a(micro_interpreter.cc.o)
 *fill*         0x{LOAD + 0x30:08x}        0x4
 .text.eval     0x{LOAD + 0x34:08x}       0x40 lib/libtensorflow-microlite.a(fully_connected.cc.o)
 .text          0x{LOAD + 0x74:08x}       0x0c /usr/lib/thumb/libc_nano.a(libc_a-memcpy.o)
 .rodata.model  0x{LOAD + 0x80:08x}       0x70 obj/model/sine_int8/model_data.cc.o
 .text.main     0x{LOAD + 0xF0:08x}        0x0 obj/tflm/hello_world/empty.cc.o

.data           0x{RAM:08x}        0x8 load address 0x{LOAD + 0x100:08x}
 .data.table    0x{RAM:08x}        0x8 obj/tflm/hello_world/main.cc.o

.bss            0x{RAM + 8:08x}       0x20 load address 0x{LOAD + 0x108:08x}
 COMMON         0x{RAM + 8:08x}       0x20 obj/boards/sparkfun_edge/board.cc.o

.debug_info     0x00000000    0x20000
 .debug_info    0x00000000    0x20000 obj/boards/common/startup.cc.o
"""
SOURCES = (
    "tensorflow/lite/micro/kernels/fully_connected.cc",
    "tensorflow/lite/micro/micro_interpreter.cc",
)
IMAGE = bytes(0x108)
ELF = FirmwareElf(
    machine="EM_ARM",
    bits=32,
    little_endian=True,
    flags=0x0500_0400,
    entry=LOAD | 1,
    segments=(Segment(LOAD, IMAGE),),
    sections=(
        Section(".text", LOAD, 0x100, in_file=True),
        Section(".data", RAM, 8, in_file=True),
        Section(".bss", RAM + 8, 0x20, in_file=False),
    ),
    compile_units=SOURCES,
)


def test_pieces_are_read_with_long_names_and_without_fill_or_discarded_ones() -> None:
    pieces = parse_link_map(MAP)
    assert pieces[0] == Piece(
        ".text", ".text.Reset_Handler", LOAD, 0x10, "obj/boards/common/startup.cc.o"
    )
    assert [piece.section for piece in pieces] == [
        *(".text.Reset_Handler", ".text.invoke", ".text.eval", ".text", ".rodata.model"),
        *(".data.table", "COMMON", ".debug_info"),
    ]


def test_layers_add_up_to_the_sections() -> None:
    report = size_report(BOARD, ELF, MAP)
    assert {part.layer: (part.flash, part.ram) for part in report.layers} == {
        "board": (0x10, 0x20),
        "runtime": (0x20, 0),
        "kernels": (0x40, 0),
        "libc": (0x0C, 0),
        "model": (0x70, 0),
        "application": (8, 8),
        "alignment": (0x14, 0),
    }
    assert (report.flash_used, report.ram_used) == (0x108, 0x28)


@given(st.lists(st.integers(0, 400), max_size=8))
def test_layers_always_add_up_whatever_the_map_says(sizes: list[int]) -> None:
    rows = "".join(
        f" .text.x  0x{LOAD + index * 8:08x} 0x{size:x} obj/model/m/x.cc.o\n"
        for index, size in enumerate(sizes)
    )
    text = f"Linker script and memory map\n\n.text  0x{LOAD:08x} 0x100\n{rows}"
    report = size_report(BOARD, ELF, text)
    assert sum(part.flash for part in report.layers) == report.flash_used
    assert sum(part.ram for part in report.layers) == report.ram_used


def test_library_members_are_told_apart_by_their_source() -> None:
    sources = {Path(name).name: name for name in SOURCES}
    member = "lib/libtensorflow-microlite.a(%s.o)"
    assert layer_of(member % "fully_connected.cc", sources) == "kernels"
    assert layer_of(member % "micro_interpreter.cc", sources) == "runtime"
    assert layer_of(member % "unknown.cc", sources) == "runtime"
    assert layer_of("/usr/lib/libgcc.a(_arm_addsubdf3.o)", sources) == "libc"
    assert layer_of("/usr/lib/crti.o", sources) == "libc"


STRINGS = f"""\
Linker script and memory map

.rodata         0x{LOAD:08x}       0x40
 .rodata.a.str1.1
                0x{LOAD:08x}       0x1e obj/boards/common/runtime.cc.o
                                   0x0a (size before relaxing)
 .rodata.b.str1.1
                0x{LOAD + 0x1E:08x}       0x14 obj/tflm/hello_world/console.cc.o
 .rodata.table  0x{LOAD + 0x1E:08x}       0x10 obj/model/sine_int8/model_data.cc.o
 .rodata.c.str1.4
                0x{LOAD + 0x2E:08x}        0x6 obj/model/sine_int8/model_operators.cc.o
"""


def test_merged_strings_are_divided_among_those_that_they_came_from() -> None:
    pieces = {piece.section: piece for piece in parse_link_map(STRINGS)}
    own, other = pieces[".rodata.a.str1.1"], pieces[".rodata.b.str1.1"]
    assert (own.address, own.size) == (LOAD, 0x0A)
    assert (other.address, other.size) == (LOAD + 0x0A, 0x14)
    assert pieces[".rodata.table"].size == 0x10
    assert pieces[".rodata.c.str1.4"].address == LOAD + 0x2E


def test_every_ram_counts_and_the_frame_buffer_is_a_layer_of_its_own() -> None:
    disco = find_board(Path(__file__).resolve().parents[2] / "boards", "stm32f746g_disco")
    (sram,) = disco.sectioned_rams
    text = f"""\
Linker script and memory map

.sram           0x{sram.origin:08x}      0x120
 .bss.framebuffer
                0x{sram.origin:08x}      0x100 obj/boards/stm32f746g_disco/display.cc.o
 .bss.arena     0x{sram.origin + 0x100:08x}       0x20 obj/tflm/hello_world/inference.cc.o
.bss            0x{disco.ram.origin:08x}        0x8
 .bss.x         0x{disco.ram.origin:08x}        0x8 obj/boards/stm32f746g_disco/board.cc.o
"""
    elf = dataclasses.replace(
        ELF,
        segments=(),
        sections=(
            Section(".sram", sram.origin, 0x120, in_file=False),
            Section(".bss", disco.ram.origin, 8, in_file=False),
        ),
    )
    report = size_report(disco, elf, text)
    assert {part.layer: part.ram for part in report.layers} == {
        "frame buffer": 0x100,
        "application": 0x20,
        "board": 8,
    }
    assert (report.ram_used, report.ram_available) == (0x128, 320 * 1024)
    assert ram_used(disco, elf) == 0x128
