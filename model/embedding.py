"""Writes a model as C++ for the firmware; the contract is ``tflm/README.md``."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

from model.arena import estimate_arena
from model.cost import multiply_accumulates
from model.errors import UnsupportedModelError
from model.files import json_text
from model.graph import Graph, Tensor, read_graph
from model.kernels import KERNELS
from model.limits import require_arena
from model.support import require_support, scalar_type

BYTES_A_LINE = 12
"""As many as ``xxd -i`` writes."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_KERNELS_FOLDER = "tensorflow/lite/micro/kernels"


@dataclass(frozen=True)
class EmbeddableModel:
    """A model that has passed every check.

    Attributes:
        name: folder of the model and name in the firmware's banner.
        scalar: type of input and output, ``"INT8"`` or ``"FLOAT32"``, of a model that computes one
            scalar from another, as hello_world needs it; else None.
        arena_bytes: size of the tensor arena, a multiple of 16.
    """

    name: str
    tflite: bytes
    graph: Graph
    scalar: str | None
    arena_bytes: int

    @property
    def sha256(self) -> str:
        """Digest of the ``.tflite`` file in hexadecimal."""
        return hashlib.sha256(self.tflite).hexdigest()


def check_model(name: str, tflite: bytes, arena_bytes: int | None = None) -> EmbeddableModel:
    """Read and check a model.

    Args:
        name: a C identifier.
        tflite: the file.
        arena_bytes: size of the tensor arena, at least 16; None to estimate it.

    Raises:
        UnsupportedModelError: the pinned tree cannot compute it.
        ValueError: ``name`` or ``arena_bytes`` cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name made of letters, digits and underscores")
    if arena_bytes is not None and arena_bytes < 16:
        raise ValueError(f"an arena of {arena_bytes} bytes holds nothing")
    graph = read_graph(tflite)
    require_support(graph)
    wanted = estimate_arena(graph) if arena_bytes is None else arena_bytes
    require_arena(wanted)
    return EmbeddableModel(name, tflite, graph, scalar_type(graph), -(-wanted // 16) * 16)


def embedded_files(model: EmbeddableModel) -> dict[str, str]:
    """Return the text of each file to write, by its name."""
    return {
        "model_data.cc": data_source(model.tflite),
        "model_data.h": data_header(),
        "model_arena.h": _arena_header(model),
        "model_type.h": _type_header(model),
        "model_operators.cc": _operators_source(model),
        "model_operators.h": _operators_header(model),
        "model.json": description(model),
    }


def data_source(tflite: bytes) -> str:
    """Return ``model_data.cc``: the file as an array, in the lines that ``xxd -i`` writes.

    Raises:
        UnsupportedModelError: the file is empty; C++ has no empty array.
    """
    if not tflite:
        raise UnsupportedModelError("the model's file is empty")
    rows = (
        "  " + ", ".join(f"0x{byte:02x}" for byte in tflite[start : start + BYTES_A_LINE])
        for start in range(0, len(tflite), BYTES_A_LINE)
    )
    return (
        f"// Generated from a .tflite file of {len(tflite)} bytes,\n"
        f"// sha256 {hashlib.sha256(tflite).hexdigest()}.\n"
        '\n#include "model_data.h"\n\n'
        "alignas(16) const unsigned char g_model[] = {\n" + ",\n".join(rows) + "};\n"
        f"const int g_model_len = {len(tflite)};\n"
    )


def data_header() -> str:
    """Return ``model_data.h``."""
    return _guarded(
        "MODEL_DATA_H_",
        "// The .tflite file, aligned to 16 bytes as the interpreter needs it.\n"
        "extern const unsigned char g_model[];\n"
        "extern const int g_model_len;\n",
    )


def _arena_header(model: EmbeddableModel) -> str:
    return _guarded(
        "MODEL_ARENA_H_",
        f"// Bytes of the tensor arena.\nconstexpr int kModelArenaSize = {model.arena_bytes};\n",
    )


def _type_header(model: EmbeddableModel) -> str:
    kind = {"INT8": "kTfLiteInt8", "FLOAT32": "kTfLiteFloat32", None: "kTfLiteNoType"}[model.scalar]
    return _guarded(
        "MODEL_TYPE_H_",
        '#include "tensorflow/lite/c/common.h"\n\n'
        "// Type of input and output of a model that computes one scalar from another.\n"
        f"constexpr TfLiteType kModelType = {kind};\n",
    )


def _guarded(guard: str, text: str) -> str:
    return f"// Generated.\n\n#ifndef {guard}\n#define {guard}\n\n{text}\n#endif  // {guard}\n"


def _operators_header(model: EmbeddableModel) -> str:
    operators = model.graph.operator_versions()
    listed = "".join(f"    tflite::BuiltinOperator_{name},\n" for name, _ in operators)
    return _guarded(
        "MODEL_OPERATORS_H_",
        '#include "tensorflow/lite/c/common.h"\n'
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"\n'
        '#include "tensorflow/lite/schema/schema_generated.h"\n\n'
        "extern const char kModelName[];\n\n"
        "// One registration for each operator and version of the model.\n"
        f"constexpr int kModelOperatorCount = {len(operators)};\n\n"
        "constexpr tflite::BuiltinOperator kModelOperators[kModelOperatorCount] = {\n"
        f"{listed}}};\n\n"
        "TfLiteStatus RegisterModelOperators(\n"
        "    tflite::MicroMutableOpResolver<kModelOperatorCount>& resolver);\n",
    )


def _operators_source(model: EmbeddableModel) -> str:
    registrations = "".join(
        "  TF_LITE_ENSURE_STATUS(resolver.AddBuiltin(\n"
        f"      tflite::BuiltinOperator_{name},\n"
        f"      tflite::ops::micro::Register_{name}(), {version}));\n"
        for name, version in model.graph.operator_versions()
    )
    return (
        "// Generated.\n\n"
        '#include "model_operators.h"\n\n'
        f'#include "{_KERNELS_FOLDER}/micro_ops.h"\n\n'
        f"const char kModelName[] = {json.dumps(model.name)};\n\n"
        "TfLiteStatus RegisterModelOperators(\n"
        "    tflite::MicroMutableOpResolver<kModelOperatorCount>& resolver) {\n"
        f"{registrations}"
        "  return kTfLiteOk;\n}\n"
    )


def description(model: EmbeddableModel) -> str:
    """Return ``model.json``: what the other stages and the reports want to know of the model."""
    graph = model.graph
    return json_text(
        {
            "schema": "tinyml-toolchain/model/2",
            "name": model.name,
            "size_bytes": len(model.tflite),
            "constant_bytes": sum(len(tensor.data.data) for tensor in graph.tensors),
            "sha256": model.sha256,
            "arena_bytes": model.arena_bytes,
            "tensors": len(graph.tensors),
            "operators": [
                {
                    "name": name,
                    "version": version,
                    "count": sum(
                        (each.name, each.version) == (name, version) for each in graph.operators
                    ),
                    "kernel": f"{_KERNELS_FOLDER}/{KERNELS[name].source}",
                }
                for name, version in graph.operator_versions()
            ],
            "multiply_accumulates": multiply_accumulates(graph),
            "inputs": [tensor_fields(graph.tensors[index]) for index in graph.inputs],
            "outputs": [tensor_fields(graph.tensors[index]) for index in graph.outputs],
        }
    )


def tensor_fields(tensor: Tensor) -> dict[str, object]:
    """Return what JSON documents say of an input or output."""
    scale, zero_point = scalar_quantisation(tensor)
    return {
        "name": tensor.name,
        "type": tensor.type,
        "shape": list(tensor.shape),
        "scale": scale,
        "zero_point": zero_point,
    }


def scalar_quantisation(tensor: Tensor) -> tuple[float, int] | tuple[None, None]:
    """Return scale and zero point of a tensor that has one of each, or two None for another."""
    quantisation = tensor.quantisation
    if tensor.type not in {"INT8", "UINT8", "INT16"} or quantisation is None:
        return None, None
    if len(quantisation.scales) != 1 or len(quantisation.zero_points) != 1:
        return None, None
    return quantisation.scales[0], quantisation.zero_points[0]
