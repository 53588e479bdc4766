"""What a simulation is asked for and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolchain.boards import Board
from toolchain.errors import UsageError

DEFAULT_INSTRUCTION_BUDGET = 1_000_000_000


@dataclass(frozen=True)
class SimulationRequest:
    """One run of a firmware.

    Exactly one of ``inferences`` and ``until_text`` says when the run ends by itself.

    Attributes:
        board: the board that the image is flashed to.
        image: bytes of the flashable file; the first one goes to the board's load address.
        elf: the file that ``image`` was made from, for names, lines and the extent of an
            inference; None: messages have addresses only.
        inferences: end after this many ``x_value`` or ``case`` lines, at least 1.
        until_text: end after the first console line that holds this text.
        instruction_budget: instructions after which the run is given up.

    Raises:
        UsageError: the end is not given, given twice, or not positive.
    """

    board: Board
    image: bytes
    elf: Path | None = None
    inferences: int | None = None
    until_text: str | None = None
    instruction_budget: int = DEFAULT_INSTRUCTION_BUDGET

    def __post_init__(self) -> None:
        if (self.inferences is None) == (self.until_text is None):
            raise UsageError(
                "a simulation ends after a number of inferences or at a text, not both"
            )
        if self.inferences is not None and self.inferences < 1:
            raise UsageError(
                f"{self.inferences} inferences cannot be simulated", next_step="ask for 1 or more"
            )
        if self.until_text == "":
            raise UsageError("the text that ends a simulation is empty")
        if self.instruction_budget < 1:
            raise UsageError("the instruction budget must be positive")

    @property
    def waited_for(self) -> str:
        """What ends the run, in words."""
        if self.inferences is None:
            return f"a console line with '{self.until_text}'"
        plural = "s" if self.inferences > 1 else ""
        return f"{self.inferences} line{plural} with a result"


@dataclass(frozen=True)
class Inference:
    """One ``x_value`` line and what happened up to it.

    Attributes:
        x: the model's input, exactly the printed single-precision bits; ``y`` the output.
        raw_in: quantised input, -128 to 127; None for a float model. ``raw_out`` the output.
        x_bits: IEEE-754 single-precision bits of ``x``; ``y_bits`` of ``y``.
        instructions: executed by the inference, see ``SimulationResult.counted``.
        brightness: of each LED by name, 0 (off) to 1, when the line was complete.
    """

    x: float
    y: float
    raw_in: int | None
    raw_out: int | None
    x_bits: int
    y_bits: int
    instructions: int
    brightness: Mapping[str, float]


@dataclass(frozen=True)
class Case:
    """One ``case`` line and what happened up to it.

    Attributes:
        number: of the case, from 0.
        equal: whether the firmware found its outputs to be those that were built in.
        outputs: bytes of each output tensor.
        instructions: executed by the inference, see ``SimulationResult.counted``.
    """

    number: int
    equal: bool
    outputs: tuple[bytes, ...]
    instructions: int


@dataclass(frozen=True)
class Screen:
    """What a display shows.

    Attributes:
        width: pixels of a row; ``height``: rows.
        pixels: red, green and blue byte of each pixel, row by row from the top left corner.
    """

    width: int
    height: int
    pixels: bytes


@dataclass(frozen=True)
class SimulationResult:
    """A run that ended as it was asked to.

    Attributes:
        console: all that the firmware sent, each line with its newline.
        cases: what ``model_runner`` printed.
        instructions: executed from reset to the end. One that an IT block skips does not count.
        counted: what ``Inference.instructions`` counts: ``invoke``: from the entry of the
            interpreter's Invoke to its return; ``line``: without an ELF that has it, everything
            from the end of the console line before.
        screen: what the board's display showed at the end; None: it has no display.
    """

    console: str
    inferences: tuple[Inference, ...]
    instructions: int
    counted: Literal["invoke", "line"]
    screen: Screen | None = None
    cases: tuple[Case, ...] = ()
