"""One operator with its kernel, tensors and options, as the checks of shapes and numbers see it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from model.errors import UnsupportedModelError
from model.graph import Graph, Operator, Tensor
from model.kernels import Kernel
from model.options import Options, read_options

LARGEST_INT32 = (1 << 31) - 1

DAMAGED = "the file is damaged or was written by a faulty tool"
CONVERT_AGAIN = "convert the model again with TensorFlow"


@dataclass(frozen=True)
class Node:
    """One operator.

    Attributes:
        operator: from the file.
        kernel: what computes it.
        inputs: its tensors; none is left out.
        outputs: its tensors.
        options: what the kernel reads of its options, with defaults.
    """

    operator: Operator
    kernel: Kernel
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    options: Options

    @classmethod
    def of(cls, graph: Graph, operator: Operator, kernel: Kernel) -> Node:
        """Return the node of an operator that leaves out no input.

        Raises:
            UnsupportedModelError: its options are missing or those of another operator.
            MalformedFlatbufferError: they leave the file.
        """
        return cls(
            operator,
            kernel,
            tuple(graph.tensors[index] for index in operator.inputs),
            tuple(graph.tensors[index] for index in operator.outputs),
            read_options(operator, kernel.source),
        )

    @property
    def name(self) -> str:
        """Name of the operator."""
        return self.operator.name

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    def option(self, name: str) -> int:
        """Return an option that is an integer."""
        return int(self.options[name])

    def tensors(self) -> Iterator[Tensor]:
        """Return inputs, then outputs."""
        yield from self.inputs
        yield from self.outputs

    def refusal(self, what: str, why: str, next_step: str = CONVERT_AGAIN) -> UnsupportedModelError:
        """Return the error; ``{kernel}`` in ``why`` stands for the kernel's file."""
        kernel = f"its kernel ({self.kernel.source})"
        return UnsupportedModelError(
            f"{self.name} {what}", why=why.replace("{kernel}", kernel), next_step=next_step
        )

    def require(self, holds: bool, what: str) -> None:
        """Check what only a damaged file does not fulfil.

        Raises:
            UnsupportedModelError: it does not hold; ``what`` is what is there instead.
        """
        if not holds:
            raise self.refusal(what, DAMAGED)

    def require_rank(self, tensor: Tensor, fewest: int, most: int) -> None:
        """Check the number of dimensions of a tensor.

        Raises:
            UnsupportedModelError: it has fewer or more.
        """
        rank = len(tensor.shape)
        if not fewest <= rank <= most:
            wanted = str(most) if fewest == most else f"{fewest} to {most}"
            raise self.refusal(
                f"has tensor {tensor.name} {tensor.described}, of {rank} dimensions",
                f"{{kernel}} computes with {wanted}",
                "reshape the tensor before the layer",
            )

    def require_shape(self, tensor: Tensor, wanted: Sequence[int]) -> None:
        """Check that a tensor has the shape that follows from the others.

        Raises:
            UnsupportedModelError: it has another one.
        """
        if tuple(wanted) != tensor.shape:
            shape = ",".join(map(str, wanted))
            raise self.refusal(
                f"has tensor {tensor.name} {tensor.described} instead of [{shape}], which follows "
                "from its other tensors and its options",
                "{kernel} would read or write outside of a tensor, or leave a part of it out",
            )

    def require_bias(self, channels: int) -> None:
        """Check that the bias, the third input, has one value a channel if there is one.

        Raises:
            UnsupportedModelError: it has another number of elements.
        """
        for bias in self.inputs[2:]:
            self.require(
                bias.elements == channels,
                f"has a bias, tensor {bias.name} {bias.described}, for {channels} channels",
            )

    def constant_integers(self, place: int, count: int, meaning: str) -> tuple[int, ...]:
        """Return the content of an INT32 input.

        Args:
            place: which input.
            count: how many numbers it must hold.
            meaning: what the numbers are, for messages.

        Raises:
            UnsupportedModelError: it is computed, or has another number of elements.
        """
        tensor = self.inputs[place]
        if not tensor.is_constant:
            raise self.refusal(
                f"takes its {meaning} from tensor {tensor.name}, which is computed",
                "{kernel} reads them before anything is computed, or cannot check them",
                f"let the {meaning} be constants of the network",
            )
        if tensor.elements != count:
            raise self.refusal(
                f"has {tensor.elements} numbers for its {meaning}, in tensor {tensor.name}",
                f"{{kernel}} reads {count}",
            )
        return struct.unpack(f"<{count}i", tensor.data.data)


def single(value: float) -> float:
    """Return a number, smaller than 2**128, rounded to single precision."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])
