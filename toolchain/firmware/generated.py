"""Renders what make needs to know of a board: the linker script and fragments of variables.

All are functions of ``board.toml`` alone, so that a memory map is written down once.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from string import Template

from toolchain.boards import Board

ARENA_GRANULE = 16
"""Bytes; the interpreter aligns what it hands out to as many, so that fewer make no difference."""

_LINKER_SCRIPT = Template("""\
/* Made from boards/$name/board.toml. */

ENTRY(Reset_Handler)

MEMORY
{
  flash (rx)  : ORIGIN = $flash_origin, LENGTH = $flash_length
  ram   (rwx) : ORIGIN = $ram_origin, LENGTH = $ram_length
$more_memories}

__initial_stack_pointer = $stack_pointer;
__stack_limit = $stack_limit;

SECTIONS
{
  .vectors :
  {
    __image_start = .;
    KEEP(*(.vectors))
    . = ALIGN($vector_alignment);
    __vectors_end = .;
  } > flash

  .text :
  {
    *(.text.Reset_Handler)
    *(.text .text.*)
    . = ALIGN(4);
  } > flash

  .rodata :
  {
    *(SORT_BY_ALIGNMENT(.rodata) SORT_BY_ALIGNMENT(.rodata.*))
    . = ALIGN(4);
  } > flash

  .init_array :
  {
    __init_array_start = .;
    KEEP(*(SORT_BY_INIT_PRIORITY(.init_array.*)))
    KEEP(*(.init_array))
    __init_array_end = .;
  } > flash

  /* What startup sets to zero: first address and one past the last. */
  .zero_table : ALIGN(4)
  {
    __zero_table_start = .;
    LONG(__bss_start) LONG(__bss_end)
$zeroed    __zero_table_end = .;
  } > flash

  .data : ALIGN(8)
  {
    __data_start = .;
    *(.data .data.*)
    . = ALIGN(8);
    __data_end = .;
  } > ram AT > flash
  __data_load = LOADADDR(.data);
  __image_end = LOADADDR(.data) + SIZEOF(.data);
  __image_length = ABSOLUTE(__image_end - __image_start);

$more_sections  .bss (NOLOAD) : ALIGN(8)
  {
    __bss_start = .;
    *(SORT_BY_ALIGNMENT(.bss) SORT_BY_ALIGNMENT(.bss.*) COMMON)
    . = ALIGN(8);
    __bss_end = .;
  } > ram

  /* Nothing unwinds the stack and nothing runs after main. */
  /DISCARD/ :
  {
    *(.ARM.exidx* .ARM.extab*)
    *(.fini_array* .dtors*)
  }
}

ASSERT(__image_start == ORIGIN(flash), "the vector table is not at the load address")
ASSERT(__vectors_end - __image_start >= $vector_bytes, "the vector table is too short")
ASSERT(__image_end <= ORIGIN(flash) + LENGTH(flash), "the image does not fit the flash")
ASSERT(__bss_end <= __stack_limit, "data and bss reach into the stack")
""")

# Before .bss, whose patterns would take these sections too.
_SECTIONS_OF_A_RAM = Template("""\
  .$name (NOLOAD) : ALIGN(8)
  {
    __${name}_start = .;
$inputs    . = ALIGN(8);
    __${name}_end = .;
  } > $name

""")

_MAKE_FRAGMENT = Template("""\
# Made from boards/$name/board.toml.
TARGET_ARCH := $arch
BOARD_CHIP := $chip
BOARD_CPU := $cpu
BOARD_FPU := $fpu
BOARD_FLOAT_ABI := $float_abi
BOARD_CLOCK_HZ := $clock_hz
BOARD_BAUD := $baud
BOARD_VECTOR_WORDS := $vector_words
""")


def target_arch(board: Board) -> str:
    """Return the core in the Makefile's words: ``cortex-m4+fp``, or ``cortex-m4`` without FPU use.

    A library of TensorFlow Lite Micro depends on this word and not on the board.
    """
    return board.core.cpu if board.core.float_abi == "soft" else f"{board.core.cpu}+fp"


def render_linker_script(board: Board) -> str:
    """Return ``memory.ld``: GNU ld script for the image of ``board``.

    The image begins with the vector table, padded to its alignment. Data and bss lie at the start
    of the RAM, the stack grows down from ``__initial_stack_pointer``; that they do not meet is
    asserted with the board's ``stack_size``. A RAM with sections of its own gets an output section
    of its name.
    """
    application = board.application
    return _LINKER_SCRIPT.substitute(
        name=board.name,
        flash_origin=_hex(application.load_address),
        flash_length=_hex(application.max_length),
        ram_origin=_hex(board.ram.origin),
        ram_length=_hex(board.ram.length),
        stack_pointer=_hex(application.initial_stack_pointer),
        stack_limit=_hex(application.initial_stack_pointer - application.stack_size),
        vector_alignment=board.core.vector_table_alignment,
        vector_bytes=4 * board.core.vector_words,
        more_memories="".join(
            f"  {ram.name} (rwx) : ORIGIN = {_hex(ram.origin)}, LENGTH = {_hex(ram.length)}\n"
            for ram in board.sectioned_rams
        ),
        zeroed="".join(
            f"    LONG(__{ram.name}_start) LONG(__{ram.name}_end)\n" for ram in board.sectioned_rams
        ),
        more_sections="".join(
            _SECTIONS_OF_A_RAM.substitute(
                name=ram.name, inputs="".join(f"    *({section})\n" for section in ram.sections)
            )
            for ram in board.sectioned_rams
        ),
    )


def render_make_fragment(board: Board) -> str:
    """Return ``target.mk``: the board's facts as make variables, clock in Hz, baud in bit/s."""
    return _MAKE_FRAGMENT.substitute(
        name=board.name,
        arch=target_arch(board),
        chip=board.chip,
        cpu=board.core.cpu,
        fpu=board.core.fpu,
        float_abi=board.core.float_abi,
        clock_hz=board.core.clock_hz,
        baud=board.console.baud,
        vector_words=board.core.vector_words,
    )


def render_aliases(board: Board) -> str:
    """Return ``aliases.mk``: a make variable for each other name of the board.

    It can be read beside those of all other boards, before it is known which one is built.
    """
    lines = [f"TARGET_OF_{alias} := {board.name}\n" for alias in board.aliases]
    return "".join([f"# Made from boards/{board.name}/board.toml.\n", *lines])


def generated_files(board: Board) -> dict[PurePosixPath, bytes]:
    """Return what belongs in ``boards/<name>/generated`` of a make workspace, by workspace path."""
    folder = PurePosixPath("boards") / board.name / "generated"
    texts = {"memory.ld": render_linker_script(board), "target.mk": render_make_fragment(board)}
    if board.aliases:
        texts["aliases.mk"] = render_aliases(board)
    return {folder / name: text.encode("ascii") for name, text in texts.items()}


def _hex(value: int) -> str:
    return f"0x{value:08X}"


def arena_header(arena_bytes: int) -> str:
    """Return ``model_arena.h``, as ``model.embedding`` writes it.

    Args:
        arena_bytes: size of the tensor arena, a multiple of ``ARENA_GRANULE``.
    """
    return (
        "// Generated.\n\n#ifndef MODEL_ARENA_H_\n#define MODEL_ARENA_H_\n\n"
        f"// Bytes of the tensor arena.\nconstexpr int kModelArenaSize = {arena_bytes};\n\n"
        "#endif  // MODEL_ARENA_H_\n"
    )
