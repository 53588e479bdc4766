"""Refuses, before anything is built, a model that the pinned tree would not compute rightly.

Some of these models run on the device without any error and give wrong numbers; each check says
what the kernels do.
"""

from __future__ import annotations

import math

from model.arithmetic import require_arithmetic
from model.errors import UnsupportedModelError
from model.graph import OPTIONAL_TENSOR, Graph, Operator, Tensor, damage_refused
from model.kernels import KERNELS, Form, Kernel
from model.lifetimes import require_lifetimes, require_scratch_buffers
from model.limits import require_counts
from model.node import CONVERT_AGAIN, DAMAGED, Node
from model.options import RELU, RELU6, RELU_N1_TO_1, SAME
from model.quantisation import QUANTISED, require_one_scale, require_quantisation
from model.shapes import require_shapes

_STORED_TYPES = frozenset({"FLOAT32", "INT8", "UINT8", "INT16", "INT32", "INT64", "BOOL"})
"""Types of which the pinned tree knows the size: TfLiteTypeSizeOf of micro/memory_helpers.cc."""

_ACTIVATION_RANGES = {RELU: (0.0, math.inf), RELU_N1_TO_1: (-1.0, 1.0), RELU6: (0.0, 6.0)}


def require_support(graph: Graph) -> None:
    """Check a model.

    Raises:
        UnsupportedModelError: the pinned tree cannot compute it; names the operator or tensor.
    """
    _require_fixed_shapes(graph)
    require_counts(graph)
    kernels = [_kernel_of(operator) for operator in graph.operators]
    for tensor in graph.tensors:
        _require_readable(tensor)
    known = list(zip(graph.operators, kernels, strict=True))
    # Versions come last: the converter gives all operators of a kind the highest that one of them
    # needs, so that only what makes it needed tells the cure.
    versions = [_known_version(graph, operator, kernel) for operator, kernel in known]
    for operator, kernel in known:
        _require_inputs(operator)
        require_one_scale(operator, kernel, _tensors(graph, operator))
    nodes = []
    with damage_refused():
        for (operator, kernel), version in zip(known, versions, strict=True):
            _require_version(graph, operator, kernel, version)
            require_quantisation(operator, kernel, _tensors(graph, operator))
            nodes.append(Node.of(graph, operator, kernel))
    for node in nodes:
        _require_plain(node)
    require_lifetimes(graph)
    require_scratch_buffers(nodes)
    for node in nodes:
        require_shapes(node)
        require_arithmetic(node)


def scalar_type(graph: Graph) -> str | None:
    """Return the type of a model that computes one int8 or float32 from one; None of another."""
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    kinds = {tensor.type for tensor in ends}
    scalar = len(graph.inputs) == len(graph.outputs) == 1 and all(end.elements == 1 for end in ends)
    return kinds.pop() if scalar and kinds in ({"INT8"}, {"FLOAT32"}) else None


def require_scalar_function(graph: Graph) -> str:
    """Check that a model has one scalar input and one scalar output, both int8 or both float32.

    Returns:
        ``"int8"`` or ``"float"``.

    Raises:
        UnsupportedModelError: it has not; the hello_world application runs no other.
    """
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    described = ", ".join(f"{tensor.name} {tensor.described}" for tensor in ends)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1 or any(end.elements != 1 for end in ends):
        raise UnsupportedModelError(
            f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs: "
            f"{described}",
            why="hello_world computes one number from one number",
            next_step="give a model with one scalar input and one scalar output",
        )
    kinds = {tensor.type for tensor in ends}
    if kinds == {"INT8"}:
        return "int8"
    if kinds == {"FLOAT32"}:
        return "float"
    raise UnsupportedModelError(
        f"the model's input and output are {described}",
        why="hello_world passes int8 or float32, the same on both sides",
        next_step="set inference_input_type and inference_output_type to tf.int8, or leave the "
        "model in float32",
    )


def _require_fixed_shapes(graph: Graph) -> None:
    # The inputs first: what is open inside follows from them.
    order = dict.fromkeys((*graph.inputs, *range(len(graph.tensors))))
    for tensor in (graph.tensors[index] for index in order):
        if tensor.open_shape or any(size < 0 for size in tensor.shape):
            shape = ",".join("?" if n < 0 else str(n) for n in tensor.open_shape or tensor.shape)
            raise UnsupportedModelError(
                f"tensor {tensor.name} has the open shape [{shape}]",
                why="the pinned tree plans its memory once, for fixed sizes",
                next_step="convert with a fixed batch size: keras.Input(batch_shape=(1, ...))",
            )


def _require_readable(tensor: Tensor) -> None:
    if tensor.is_sparse:
        raise UnsupportedModelError(
            f"tensor {tensor.name} is stored sparsely",
            why="the pinned tree would read it as dense",
            next_step="convert without sparsity",
        )
    if tensor.type not in _STORED_TYPES or tensor.element_bytes is None:
        raise UnsupportedModelError(
            f"tensor {tensor.name} has the type {tensor.type}",
            why=f"the pinned tree knows {', '.join(sorted(_STORED_TYPES))}",
            next_step="quantise the whole model to int8 with a representative data set, or not at "
            "all",
        )
    parameters = tensor.quantisation
    if parameters and 0 < len(parameters.zero_points) < len(parameters.scales):
        raise UnsupportedModelError(
            f"tensor {tensor.name} has {len(parameters.scales)} scales and "
            f"{len(parameters.zero_points)} zero points",
            why="the pinned tree reads a zero point for each scale, beyond their end",
            next_step="convert the model again",
        )
    if not tensor.is_constant:
        return
    wanted = tensor.elements * tensor.element_bytes
    if len(tensor.data.data) != wanted:
        raise UnsupportedModelError(
            f"tensor {tensor.name} {tensor.described} has {len(tensor.data.data)} bytes of "
            f"content instead of {wanted}",
            why="the file is damaged or was written by a faulty tool",
            next_step="convert the model again",
        )
    if tensor.data.position % min(tensor.element_bytes, 8):
        raise UnsupportedModelError(
            f"the content of tensor {tensor.name} is not aligned to its elements",
            why="the device reads it in place and faults",
            next_step="convert the model with TensorFlow, which aligns to 16 bytes",
        )
    if tensor.type == "BOOL" and max(tensor.data.data) > 1:
        raise UnsupportedModelError(
            f"tensor {tensor.name} has content that is neither true nor false",
            why="the file is damaged or was written by a faulty tool",
            next_step="convert the model again",
        )


def _kernel_of(operator: Operator) -> Kernel:
    kernel = KERNELS.get(operator.name)
    if kernel is None:
        raise UnsupportedModelError(
            f"the model uses {operator.name}, version {operator.version}",
            why="the pinned tree has no kernel for this operator",
            next_step="build the network from operators that it has: " + ", ".join(sorted(KERNELS)),
        )
    return kernel


def _tensors(graph: Graph, operator: Operator) -> tuple[Tensor, ...]:
    return tuple(graph.tensors[index] for index in (*operator.inputs, *operator.outputs))


def _require_inputs(operator: Operator) -> None:
    if OPTIONAL_TENSOR in operator.inputs:
        raise UnsupportedModelError(
            f"{operator.name} leaves out its optional input "
            f"{operator.inputs.index(OPTIONAL_TENSOR)}",
            why="the pinned memory planner writes outside its table for an omitted tensor",
            next_step="give the layer a bias (use_bias=True) that is not zero throughout: the "
            "converter drops zeros",
        )


def _require_version(graph: Graph, operator: Operator, kernel: Kernel, known: int) -> None:
    if operator.version < 1:
        raise UnsupportedModelError(
            f"the model uses {operator.name}, version {operator.version}",
            why=DAMAGED,
            next_step=CONVERT_AGAIN,
        )
    if operator.version > known:
        raise UnsupportedModelError(
            f"the model uses {operator.name}, version {operator.version}, "
            f"for {_types(graph, operator)}",
            why=f"the pinned kernel ({kernel.source}) knows version {known} of it",
            next_step="change the layer so that the converter writes the older version",
        )


def _require_plain(node: Node) -> None:
    if node.name == "FULLY_CONNECTED" and node.options["weights_format"] != 0:
        raise node.refusal(
            f"has shuffled weights in tensor {node.inputs[1].name}",
            "{kernel} reads them in plain order",
            "convert without optimisation for a particular processor",
        )
    if node.name == "DEPTHWISE_CONV_2D":
        _require_plain_depthwise(node)


def _require_plain_depthwise(node: Node) -> None:
    result = node.output
    dilated = any(node.options[f"dilation_{side}_factor"] > 1 for side in "wh")
    if dilated and node.options["padding"] == SAME:
        raise node.refusal(
            f"is dilated with padding 'same', into tensor {result.name}",
            "{kernel} leaves the dilation out of the padding",
            "pad with a layer of its own, and use padding 'valid'",
        )
    if result.type != "INT8" or result.quantisation is None:
        return
    scale, zero_point = result.quantisation.scales[0], result.quantisation.zero_points[0]
    lowest, highest = _ACTIVATION_RANGES.get(
        node.option("fused_activation_function"), (-math.inf, math.inf)
    )
    # An activation rounds its limits to whole steps.
    lowest, highest = lowest - 0.51 * scale, highest + 0.51 * scale
    if (-128 - zero_point) * scale < lowest or (127 - zero_point) * scale > highest:
        raise node.refusal(
            f"has an activation that tensor {result.name} goes beyond",
            "{kernel} leaves the activation to the range of the tensor",
            "let no layer after the activation force a wider range on its tensor",
        )


def _known_version(graph: Graph, operator: Operator, kernel: Kernel) -> int:
    """Return the highest version that the kernel knows for the operator's types."""
    fewest, most = kernel.inputs
    if not fewest <= len(operator.inputs) <= most or not operator.outputs:
        raise UnsupportedModelError(
            f"{operator.name} has {len(operator.inputs)} inputs and {len(operator.outputs)} "
            "outputs",
            why=f"its kernel ({kernel.source}) takes {fewest} to {most} inputs",
            next_step="change the layer",
        )
    versions = [form.version for form in kernel.forms if _has_types(form, graph, operator)]
    if versions:
        return max(versions)
    got = _types(graph, operator)
    given = [graph.tensors[index] for index in operator.inputs if index != OPTIONAL_TENSOR]
    weights = [each.name for each in given[1:] if each.type in QUANTISED]
    if weights and given[0].type == "FLOAT32":
        raise UnsupportedModelError(
            f"{operator.name} is hybrid: {got}, with weights in tensor {weights[0]}",
            why="the pinned tree has no kernel for float inputs with quantised weights",
            next_step="quantise the whole model to int8 with a representative data set, "
            "or not at all",
        )
    known = "; ".join(f"{', '.join(form.operands)} -> {form.result}" for form in kernel.forms)
    raise UnsupportedModelError(
        f"{operator.name} computes {got}",
        why=f"its kernel ({kernel.source}) computes {known}",
        next_step="quantise the whole model to int8, or leave it in float32",
    )


def _has_types(form: Form, graph: Graph, operator: Operator) -> bool:
    last = len(form.operands) - 1
    return all(
        index == OPTIONAL_TENSOR or graph.tensors[index].type == form.operands[min(place, last)]
        for place, index in enumerate(operator.inputs)
    ) and all(graph.tensors[index].type == form.result for index in operator.outputs)


def _types(graph: Graph, operator: Operator) -> str:
    def named(indices: tuple[int, ...]) -> str:
        return ", ".join(graph.tensors[index].type for index in indices if index >= 0)

    return f"{named(operator.inputs)} -> {named(operator.outputs)}"
