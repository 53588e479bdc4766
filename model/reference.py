"""Computes what a model gives for the inputs that ``hello_world_test`` runs on the device.

The judge is TensorFlow Lite Micro's own interpreter built for the host; LiteRT stands beside it
for information, with its reference kernels, because the optimised ones choose their arithmetic by
the processor.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.embedding import scalar_quantisation
from model.errors import UnsupportedModelError
from model.files import json_text
from model.graph import Graph, read_graph
from model.support import require_scalar_function, require_support

REFERENCE_SCHEMA = "tinyml-toolchain/reference/1"
FLOAT_INPUTS = 1000
_ARENA_BYTES = 1 << 20

Raw = npt.NDArray[np.int8] | npt.NDArray[np.float32]


@dataclass(frozen=True)
class Reference:
    """Inputs and outputs as the model's own numbers, int8 or float32, shape ``(n,)``."""

    graph: Graph
    kind: str
    model_sha256: str
    inputs: Raw
    tflm: Raw
    litert: Raw

    def largest_sine_error(self, outputs: Raw) -> float:
        """Return the largest ``|y - sin x|`` of some outputs."""
        x = real_values(self.inputs, *scalar_quantisation(self.graph.tensors[self.graph.inputs[0]]))
        y = real_values(outputs, *scalar_quantisation(self.graph.tensors[self.graph.outputs[0]]))
        return float(np.max(np.abs(y - np.sin(x))))


def real_values(raw: Raw, scale: float | None, zero_point: int | None) -> npt.NDArray[np.float64]:
    """Return what a tensor's numbers stand for; a tensor without a scale holds them already.

    Args:
        raw: int8 numbers, or floats, of any shape.
        scale: what one step stands for; None for a tensor of floats.
        zero_point: the int8 number that stands for 0.
    """
    values = raw.astype(np.float64)
    return values if scale is None or zero_point is None else (values - zero_point) * scale


def float_inputs() -> npt.NDArray[np.float32]:
    """Return the inputs of a float model, computed in single precision as the firmware does.

    x = i / 1000 * kXrange with kXrange = 2 * 3.14159265359, as in the application's main loop.
    """
    x_range = np.float32(2.0) * np.float32(3.14159265359)
    return np.arange(FLOAT_INPUTS, dtype=np.float32) / np.float32(FLOAT_INPUTS) * x_range


def int8_inputs() -> npt.NDArray[np.int8]:
    """Return all 256 inputs of an int8 model, in rising order."""
    return np.arange(-128, 128).astype(np.int8)


def make_reference(tflite: bytes) -> Reference:
    """Run a model on both interpreters.

    Raises:
        UnsupportedModelError: the model is not one that the firmware can run.
    """
    graph = read_graph(tflite)
    require_support(graph)
    kind = require_scalar_function(graph)
    inputs: Raw = int8_inputs() if kind == "int8" else float_inputs()
    shape = graph.tensors[graph.inputs[0]].shape
    return Reference(
        graph,
        kind,
        hashlib.sha256(tflite).hexdigest(),
        inputs,
        _outputs(tflm_runner(tflite), inputs, shape),
        _outputs(litert_runner(tflite), inputs, shape),
    )


Run = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def _outputs(run: Run, inputs: Raw, shape: tuple[int, ...]) -> Raw:
    outputs = [run(value.reshape(shape)).reshape(()) for value in inputs]
    assert all(output.dtype == inputs.dtype for output in outputs)
    return np.array(outputs, dtype=inputs.dtype)  # type: ignore[return-value]


def tflm_runner(tflite: bytes) -> Run:
    """Return a function from input to output on TensorFlow Lite Micro's host interpreter.

    Raises:
        UnsupportedModelError: the interpreter cannot load the model.
    """
    from tflite_micro.python.tflite_micro import runtime

    try:
        interpreter = runtime.Interpreter.from_bytes(tflite, arena_size=_ARENA_BYTES)
    except RuntimeError as error:
        raise UnsupportedModelError(
            "TensorFlow Lite Micro's host interpreter cannot load the model", why=str(error)
        ) from error

    def run(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
        interpreter.set_input(value, 0)
        interpreter.invoke()
        return np.array(interpreter.get_output(0))

    return run


def litert_runner(tflite: bytes) -> Run:
    """Return a function from input to output on LiteRT with its reference kernels."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=tflite,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
        interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        return np.array(interpreter.get_tensor(sink["index"]))

    return run


def judge() -> str:
    """Return name and version of the interpreter that the firmware must agree with."""
    return f"tflite-micro {importlib.metadata.version('tflite-micro')}"


def reference_text(name: str, reference: Reference, judged_by: str) -> str:
    """Return ``reference.json``: int8 values as numbers, floats as their bits in hexadecimal."""
    graph = reference.graph
    input_scale, input_zero_point = scalar_quantisation(graph.tensors[graph.inputs[0]])
    output_scale, output_zero_point = scalar_quantisation(graph.tensors[graph.outputs[0]])
    return json_text(
        {
            "schema": REFERENCE_SCHEMA,
            "model": name,
            "type": reference.kind,
            "model_sha256": reference.model_sha256,
            "input_scale": input_scale,
            "input_zero_point": input_zero_point,
            "output_scale": output_scale,
            "output_zero_point": output_zero_point,
            "judge": judged_by,
            "inputs": _listed(reference.inputs),
            "tflm": _listed(reference.tflm),
            "litert": _listed(reference.litert),
        }
    )


def _listed(values: Raw) -> list[int] | list[str]:
    if values.dtype == np.int8:
        return [int(value) for value in values]
    return [f"0x{int(bits):08x}" for bits in values.astype(np.float32).view(np.uint32)]
