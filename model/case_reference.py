"""What the judge and other interpreters compute of the cases of a model."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from model.arena import estimate_arena
from model.arrays import Array
from model.cases import Cases, model_inputs, model_outputs
from model.embedding import BYTES_A_LINE, tensor_fields
from model.files import json_text
from model.graph import Graph, read_graph

CASES_SCHEMA = "tinyml-toolchain/cases/1"
_LEAST_ARENA = 1 << 20


@dataclass(frozen=True)
class Opinion:
    """What an interpreter other than the judge computes.

    Attributes:
        outputs: of each case; None when it cannot run the model.
        refusal: why it cannot; empty when it can.
    """

    outputs: Cases | None
    refusal: str = ""


@dataclass(frozen=True)
class CaseReference:
    """Cases and their outputs.

    Attributes:
        inputs: of each case.
        judged: outputs of the judge.
        opinions: outputs of other interpreters, by name and version.
    """

    graph: Graph
    model_sha256: str
    inputs: Cases
    judged: Cases
    opinions: Mapping[str, Opinion]


def make_case_reference(tflite: bytes, cases: bytes, judged: bytes) -> CaseReference:
    """Put the judge's outputs beside those of LiteRT and of the current TensorFlow Lite Micro.

    Args:
        tflite: a model that is supported.
        cases: inputs, see ``model.cases``.
        judged: the judge's outputs.

    Raises:
        ValueError: inputs or outputs are not whole, or their numbers differ.
    """
    graph = read_graph(tflite)
    inputs = Cases.from_bytes(cases, model_inputs(graph))
    outputs = Cases.from_bytes(judged, model_outputs(graph))
    if inputs.count != outputs.count:
        raise ValueError(f"there are {inputs.count} inputs and {outputs.count} outputs")
    opinions = {
        f"LiteRT {importlib.metadata.version('ai-edge-litert')}": opinion_of(
            lambda: _litert(tflite, inputs)
        ),
        f"tflite-micro {importlib.metadata.version('tflite-micro')}": opinion_of(
            lambda: _tflite_micro(tflite, graph, inputs)
        ),
    }
    return CaseReference(graph, hashlib.sha256(tflite).hexdigest(), inputs, outputs, opinions)


def opinion_of(run: Callable[[], list[list[Array]]]) -> Opinion:
    """Return what an interpreter gives, or why it does not run the model."""
    try:
        rows = run()
    except (RuntimeError, ValueError) as error:
        said = str(error).strip() or type(error).__name__
        return Opinion(None, said.splitlines()[-1])
    return Opinion(Cases(tuple(np.stack(column) for column in zip(*rows, strict=True))))


def _litert(tflite: bytes, inputs: Cases) -> list[list[Array]]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=tflite,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    sources, sinks = interpreter.get_input_details(), interpreter.get_output_details()
    rows = []
    for number in range(inputs.count):
        interpreter.reset_all_variables()
        for source, tensor in zip(sources, inputs.tensors, strict=True):
            interpreter.set_tensor(source["index"], tensor[number])
        interpreter.invoke()
        rows.append([np.array(interpreter.get_tensor(sink["index"])) for sink in sinks])
    return rows


def _tflite_micro(tflite: bytes, graph: Graph, inputs: Cases) -> list[list[Array]]:
    from tflite_micro.python.tflite_micro import runtime

    # Twice as much, because pointers are twice as long here.
    arena = max(_LEAST_ARENA, 2 * estimate_arena(graph))
    interpreter = runtime.Interpreter.from_bytes(tflite, arena_size=arena)
    rows = []
    for number in range(inputs.count):
        interpreter.reset()
        for index, tensor in enumerate(inputs.tensors):
            interpreter.set_input(tensor[number], index)
        interpreter.invoke()
        rows.append([np.array(interpreter.get_output(i)) for i in range(len(graph.outputs))])
    return rows


def cases_source(inputs: bytes, outputs: bytes, count: int) -> str:
    """Return ``model_cases.cc``, which defines what ``tflm/model_runner/cases.h`` declares."""
    return (
        "// Generated.\n\n"
        '#include "tflm/model_runner/cases.h"\n\n'
        f"const int kCaseCount = {count};\n\n"
        f"const unsigned char g_case_inputs[] = {{\n{_listed(inputs)}}};\n\n"
        f"const unsigned char g_case_outputs[] = {{\n{_listed(outputs)}}};\n"
    )


def _listed(data: bytes) -> str:
    rows = (
        "  " + ", ".join(f"0x{byte:02x}" for byte in data[start : start + BYTES_A_LINE])
        for start in range(0, len(data), BYTES_A_LINE)
    )
    return ",\n".join(rows)


def case_reference_text(name: str, reference: CaseReference, judge: str) -> str:
    """Return ``reference.json``: each output tensor of each case as the digits of its bytes."""
    graph = reference.graph
    opinions = {
        interpreter: {
            "outputs": None if opinion.outputs is None else _hex(opinion.outputs),
            "refusal": opinion.refusal,
        }
        for interpreter, opinion in reference.opinions.items()
    }
    return json_text(
        {
            "schema": CASES_SCHEMA,
            "model": name,
            "model_sha256": reference.model_sha256,
            "cases_sha256": hashlib.sha256(reference.inputs.as_bytes()).hexdigest(),
            "cases": reference.inputs.count,
            "judge": judge,
            "inputs": [tensor_fields(tensor) for tensor in model_inputs(graph)],
            "outputs": [tensor_fields(tensor) for tensor in model_outputs(graph)],
            "judged": _hex(reference.judged),
            "opinions": opinions,
        }
    )


def _hex(cases: Cases) -> list[list[str]]:
    return [
        [np.ascontiguousarray(tensor[number]).tobytes().hex() for tensor in cases.tensors]
        for number in range(cases.count)
    ]


def differing_cases(one: Cases, other: Cases) -> int:
    """Return in how many cases any output differs by its bytes."""
    return sum(
        any(
            first[number].tobytes() != second[number].astype(first.dtype).tobytes()
            for first, second in zip(one.tensors, other.tensors, strict=True)
        )
        for number in range(one.count)
    )
