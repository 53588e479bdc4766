"""What the tables of a board's description must not say together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolchain.boards.problems import Contradiction, Place
from toolchain.boards.tables import ALL_TARGETS

if TYPE_CHECKING:
    from toolchain.boards.board import Board


def check_board(board: Board) -> None:
    """Check what no table can check by itself.

    Raises:
        Contradiction: a name stands twice or for every board, memories overlap, the application or
            its stack leaves them, a section stands twice, or a way of flashing lacks its file.
    """
    _check_names(board)
    _check_regions(board)
    _check_application(board)
    _check_sections(board)
    for number, way in enumerate(board.flashing):
        if way.format not in board.package.formats:
            raise Contradiction(
                f"flashing by {way.tool} needs the format '{way.format}'",
                ("flashing", number, "format"),
                f"add '{way.format}' to the formats of [package]",
            )


def _check_names(board: Board) -> None:
    named: list[tuple[Place, str]] = [(("name",), board.name)]
    named += [(("aliases", number), name) for number, name in enumerate(board.aliases)]
    for place, name in named:
        if name == ALL_TARGETS:
            raise Contradiction(f"'{name}' stands for every board", place, "take another name")
    for table, items in (("memory", board.memory), ("led", board.led)):
        names = [item.name for item in items]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise Contradiction(
                    f"'{name}' is the name of two", (table, number, "name"), "give it another name"
                )


def _check_regions(board: Board) -> None:
    for table, regions in (("memory", board.memory), ("reserved", board.reserved)):
        for number, region in enumerate(regions):
            if region.end > 1 << 32:
                raise Contradiction(
                    f"'{region.name}' ends beyond the last address, 0xFFFFFFFF",
                    (table, number, "length"),
                    f"write 0x{(1 << 32) - region.origin:08X} or less",
                )
            for other in regions[:number]:
                if region.overlaps(other):
                    raise Contradiction(
                        f"'{region.name}', 0x{region.origin:08X} to 0x{region.end:08X}, "
                        f"overlaps '{other.name}', 0x{other.origin:08X} to 0x{other.end:08X}",
                        (table, number, "origin"),
                        "change origin or length of one of them",
                    )


def _check_application(board: Board) -> None:
    application, alignment = board.application, board.core.vector_table_alignment
    load, stack = application.load_address, application.initial_stack_pointer
    try:
        flash = board.flash
    except ValueError as error:
        raise Contradiction(
            f"load_address {error}", ("application", "load_address"), _places(board, "flash")
        ) from error
    try:
        ram = board.ram
    except ValueError as error:
        raise Contradiction(
            f"the stack below initial_stack_pointer: {error}",
            ("application", "initial_stack_pointer"),
            _places(board, "ram"),
        ) from error
    if load % alignment:
        raise Contradiction(
            "load_address is not aligned for the vector table",
            ("application", "load_address"),
            f"write a multiple of {alignment}, such as 0x{load - load % alignment:08X}",
        )
    if not flash.contains(load, application.max_length):
        raise Contradiction(
            "the application region leaves the flash",
            ("application", "max_length"),
            f"write 0x{flash.end - load:08X} or less",
        )
    if stack % 8:
        raise Contradiction(
            "initial_stack_pointer must be a multiple of 8",
            ("application", "initial_stack_pointer"),
            f"write 0x{stack - stack % 8:08X}",
        )
    if not ram.contains(stack - application.stack_size, application.stack_size):
        raise Contradiction(
            "the stack leaves the RAM",
            ("application", "stack_size"),
            f"write 0x{stack - ram.origin:X} or less",
        )
    for region in board.reserved:
        if region.overlaps(board.application_region):
            raise Contradiction(
                f"the application region overlaps '{region.name}', 0x{region.origin:08X} to "
                f"0x{region.end:08X}",
                ("application", "load_address" if region.contains(load) else "max_length"),
                "change load_address or max_length",
            )


def _places(board: Board, kind: str) -> str:
    places = [
        f"{memory.name} is 0x{memory.origin:08X} to 0x{memory.end:08X}"
        for memory in board.memory
        if memory.kind == kind
    ]
    return "; ".join(places) or f"add a [[memory]] of the kind '{kind}'"


def _check_sections(board: Board) -> None:
    named: set[str] = set()
    for number, memory in enumerate(board.memory):
        if not memory.sections:
            continue
        place = ("memory", number, "sections")
        if memory.kind != "ram" or memory == board.ram:
            raise Contradiction(
                f"sections are for a RAM without the stack, not '{memory.name}'",
                place,
                "move them to another RAM",
            )
        if memory.name in {"flash", "ram"}:
            raise Contradiction(
                f"'{memory.name}' is the linker's name of another memory",
                ("memory", number, "name"),
                "give this RAM another name",
            )
        if named.intersection(memory.sections) or len({*memory.sections}) < len(memory.sections):
            raise Contradiction(
                f"a section of '{memory.name}' is named twice", place, "name it once"
            )
        named.update(memory.sections)
