"""Reads the options of operators, as far as the pinned kernels look at them.

Field numbers and defaults are those of TensorFlow's ``lite/schema/schema.fbs``, the kinds those of
its union ``BuiltinOptions``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from model.errors import UnsupportedModelError
from model.graph import Operator

SAME, VALID = 0, 1
"""Of ``Padding``."""

NO_ACTIVATION, RELU, RELU_N1_TO_1, RELU6, TANH, SIGN_BIT = range(6)
"""Of ``ActivationFunctionType``."""

Options = Mapping[str, float]


@dataclass(frozen=True)
class OptionTable:
    """One table of options.

    Attributes:
        kind: its number in the union.
        fields: number, ``struct`` character and default of each by its name in the schema; of a
            vector (``[i]``) the number of elements is read.
        needed: whether the kernel computes with what the pinned parser leaves undefined when the
            table is absent.
    """

    kind: int
    fields: Mapping[str, tuple[int, str, float]]
    needed: bool = True


def _scalars(form: str, *names: str, first: int = 0) -> dict[str, tuple[int, str, float]]:
    return {name: (number, form, 0) for number, name in enumerate(names, first)}


def _activation(number: int = 0) -> dict[str, tuple[int, str, float]]:
    return {"fused_activation_function": (number, "b", NO_ACTIVATION)}


def _window(*sizes: str) -> dict[str, tuple[int, str, float]]:
    return {
        "padding": (0, "b", SAME),
        **_scalars("i", "stride_w", "stride_h", *sizes, first=1),
        **_activation(3 + len(sizes)),
    }


def _dilation(first: int) -> dict[str, tuple[int, str, float]]:
    return {"dilation_w_factor": (first, "i", 1), "dilation_h_factor": (first + 1, "i", 1)}


_POOL = OptionTable(5, _window("filter_width", "filter_height"))

OPTIONS: Mapping[str, OptionTable] = {
    "ADD": OptionTable(11, _activation()),
    "ARG_MAX": OptionTable(40, _scalars("b", "output_type"), needed=False),
    "ARG_MIN": OptionTable(57, _scalars("b", "output_type"), needed=False),
    "AVERAGE_POOL_2D": _POOL,
    "CONCATENATION": OptionTable(10, {**_scalars("i", "axis"), **_activation(1)}),
    "CONV_2D": OptionTable(1, {**_window(), **_dilation(4)}),
    "DEPTHWISE_CONV_2D": OptionTable(2, {**_window("depth_multiplier"), **_dilation(5)}),
    "FULLY_CONNECTED": OptionTable(
        8, {**_activation(), **_scalars("b", "weights_format", first=1)}
    ),
    "L2_NORMALIZATION": OptionTable(12, _activation(), needed=False),
    "MAX_POOL_2D": _POOL,
    "MEAN": OptionTable(27, _scalars("B", "keep_dims")),
    "MUL": OptionTable(21, _activation()),
    "PACK": OptionTable(59, _scalars("i", "values_count", "axis")),
    "RESHAPE": OptionTable(17, _scalars("[i]", "new_shape"), needed=False),
    "RESIZE_NEAREST_NEIGHBOR": OptionTable(
        74, _scalars("B", "align_corners", "half_pixel_centers"), needed=False
    ),
    "SOFTMAX": OptionTable(9, _scalars("f", "beta")),
    "STRIDED_SLICE": OptionTable(
        32,
        {
            **_scalars("i", "begin_mask", "end_mask", "ellipsis_mask"),
            **_scalars("i", "new_axis_mask", "shrink_axis_mask", first=3),
            **_scalars("B", "offset", first=5),
        },
    ),
    "SUB": OptionTable(28, _activation()),
    "SVDF": OptionTable(6, {**_scalars("i", "rank"), **_activation(1)}),
    "UNPACK": OptionTable(64, _scalars("i", "num", "axis")),
}
"""By the operator's name. Of other operators the pinned kernels read no options."""


def read_options(operator: Operator, source: str) -> Options:
    """Return the options by their names, each with its default where it is left out.

    Args:
        operator: a node of the graph.
        source: file of its kernel, for messages.

    Raises:
        UnsupportedModelError: they are missing, or those of another operator.
        MalformedFlatbufferError: they leave the file.
    """
    known = OPTIONS.get(operator.name)
    if known is None:
        return {}
    table = operator.options
    if table is not None and operator.options_kind != known.kind:
        raise UnsupportedModelError(
            f"{operator.name} has options of the kind {operator.options_kind} instead of "
            f"{known.kind}",
            why="they are those of another operator: the file is damaged or was written by a "
            "faulty tool",
            next_step="convert the model again",
        )
    if table is None and known.needed:
        raise UnsupportedModelError(
            f"{operator.name} has no options",
            why=f"its kernel ({source}) would compute with whatever lies in memory",
            next_step="convert the model with TensorFlow, which writes them",
        )
    values: dict[str, float] = {}
    for name, (number, form, default) in known.fields.items():
        if table is None:
            values[name] = default
        elif form.startswith("["):
            values[name] = len(table.numbers(number, form[1]))
        else:
            values[name] = table.number(number, form, default)
    return values
