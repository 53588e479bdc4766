"""Refuses, before anything is built, a model that the pinned tree would not compute rightly.

Some of these models run on the device without any error and give wrong numbers; each check says
what the kernels do.
"""

from __future__ import annotations

from model.errors import UnsupportedModelError
from model.graph import OPTIONAL_TENSOR, Graph, Operator, Tensor
from model.kernels import KERNELS, Form, Kernel

_QUANTISED = frozenset({"INT8", "UINT8"})
_PER_TENSOR_CURE = (
    "convert with converter._experimental_disable_per_channel_quantization_for_dense_layers = True"
)


def require_support(graph: Graph) -> None:
    """Check a model.

    Raises:
        UnsupportedModelError: the pinned tree cannot compute it; names the operator or tensor.
    """
    _require_fixed_shapes(graph)
    for tensor in graph.tensors:
        _require_readable(tensor)
    for operator in graph.operators:
        _require_kernel(graph, operator)


def require_scalar_function(graph: Graph) -> str:
    """Check that a model has one scalar input and one scalar output, both int8 or both float32.

    Returns:
        ``"int8"`` or ``"float"``.

    Raises:
        UnsupportedModelError: it has not; the hello_world application runs no other.
    """
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    described = ", ".join(f"{tensor.name} {_described(tensor)}" for tensor in ends)
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


def _described(tensor: Tensor) -> str:
    return f"{tensor.type}[{','.join(map(str, tensor.shape))}]"


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
    if not tensor.is_constant or tensor.element_bytes is None:
        return
    wanted = tensor.elements * tensor.element_bytes
    if len(tensor.data.data) != wanted:
        raise UnsupportedModelError(
            f"tensor {tensor.name} {_described(tensor)} has {len(tensor.data.data)} bytes of "
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


def _require_kernel(graph: Graph, operator: Operator) -> None:
    kernel = KERNELS.get(operator.name)
    if kernel is None:
        raise UnsupportedModelError(
            f"the model uses {operator.name}, version {operator.version}",
            why="the pinned tree has no kernel for this operator",
            next_step="build the network from operators that it has: " + ", ".join(sorted(KERNELS)),
        )
    if OPTIONAL_TENSOR in operator.inputs:
        raise UnsupportedModelError(
            f"{operator.name} leaves out its optional input "
            f"{operator.inputs.index(OPTIONAL_TENSOR)}",
            why="the pinned memory planner writes outside its table for an omitted tensor",
            next_step="give the layer a bias (use_bias=True); zeros do",
        )
    inputs = [graph.tensors[index] for index in operator.inputs]
    outputs = [graph.tensors[index] for index in operator.outputs]
    fewest, most = kernel.inputs
    if not fewest <= len(inputs) <= most or not outputs:
        raise UnsupportedModelError(
            f"{operator.name} has {len(inputs)} inputs and {len(outputs)} outputs",
            why=f"its kernel ({kernel.source}) takes {fewest} to {most} inputs",
            next_step="change the layer",
        )
    _require_one_scale(operator, kernel, inputs, outputs)
    _require_form(operator, kernel, inputs, outputs)
    _require_quantisation(operator, kernel, inputs, outputs)
    if operator.name == "FULLY_CONNECTED":
        _require_plain_weights(operator, kernel, inputs[1])


def _require_plain_weights(operator: Operator, kernel: Kernel, weights: Tensor) -> None:
    # The field is FullyConnectedOptions.weights_format.
    if operator.options is not None and operator.options.integer(1, "b") != 0:
        raise UnsupportedModelError(
            f"FULLY_CONNECTED has shuffled weights in tensor {weights.name}",
            why=f"its kernel ({kernel.source}) reads them in plain order",
            next_step="convert without optimisation for a particular processor",
        )


def _require_one_scale(
    operator: Operator, kernel: Kernel, inputs: list[Tensor], outputs: list[Tensor]
) -> None:
    for place, tensor in enumerate((*inputs, *outputs)):
        count = 0 if tensor.quantisation is None else len(tensor.quantisation.scales)
        if count <= 1 or place in kernel.per_channel:
            continue
        dense = operator.name == "FULLY_CONNECTED"
        raise UnsupportedModelError(
            f"{operator.name} has {count} scales, one a channel, in tensor {tensor.name}",
            why=f"its kernel ({kernel.source}) reads the first scale only and would compute "
            "wrong numbers without an error",
            next_step=_PER_TENSOR_CURE if dense else "quantise this tensor with one scale",
        )


def _require_form(
    operator: Operator, kernel: Kernel, inputs: list[Tensor], outputs: list[Tensor]
) -> None:
    matching = [form for form in kernel.forms if _has_types(form, inputs, outputs)]
    if not matching:
        got = _types(inputs, outputs)
        if inputs[0].type == "FLOAT32" and any(each.type in _QUANTISED for each in inputs[1:]):
            raise UnsupportedModelError(
                f"{operator.name} is hybrid: {got}, with weights in tensor {inputs[1].name}",
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
    highest = max(form.version for form in matching)
    if operator.version > highest:
        raise UnsupportedModelError(
            f"the model uses {operator.name}, version {operator.version}, "
            f"for {_types(inputs, outputs)}",
            why=f"the pinned kernel ({kernel.source}) knows version {highest} of it",
            next_step="change the layer so that the converter writes the older version",
        )


def _has_types(form: Form, inputs: list[Tensor], outputs: list[Tensor]) -> bool:
    last = len(form.operands) - 1
    return all(
        tensor.type == form.operands[min(place, last)] for place, tensor in enumerate(inputs)
    ) and all(tensor.type == form.result for tensor in outputs)


def _types(inputs: list[Tensor], outputs: list[Tensor]) -> str:
    return (
        f"{', '.join(each.type for each in inputs)} -> {', '.join(each.type for each in outputs)}"
    )


def _require_quantisation(
    operator: Operator, kernel: Kernel, inputs: list[Tensor], outputs: list[Tensor]
) -> None:
    quantised = [each for each in (*inputs, *outputs) if each.type in _QUANTISED]
    for tensor in quantised:
        parameters = tensor.quantisation
        if (
            parameters is None
            or not parameters.scales
            or len(parameters.scales) != len(parameters.zero_points)
            or not all(0 < scale < float("inf") for scale in parameters.scales)
        ):
            raise UnsupportedModelError(
                f"{operator.name} has the {tensor.type} tensor {tensor.name} without a scale and "
                "a zero point for each channel",
                why="the pinned tree then computes with a scale of 0 or reads outside the file",
                next_step="convert with a representative data set",
            )
    if not kernel.moves_raw_values or not quantised:
        return
    if operator.name == "CONCATENATION" and quantised[0].type == "UINT8":
        return
    for tensor in quantised[1:]:
        if tensor.quantisation != quantised[0].quantisation:
            raise UnsupportedModelError(
                f"{operator.name} has tensors of different scales: {quantised[0].name} and "
                f"{tensor.name}",
                why=f"the pinned kernel ({kernel.source}) takes the values over unchanged",
                next_step="let the converter fuse the layer with the one before it, or quantise "
                "both tensors alike",
            )
