from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.embedding import EmbeddableModel, check_model, data_source, embedded_files
from model.errors import UnsupportedModelError
from model.graph import Operator, read_graph
from model.kernels import KERNELS
from tests.unit import model_support as fb
from tests.unit.model_support import changed
from toolchain.firmware.generated import arena_header

INT8 = fb.int8_dense().tflite()
FLOAT = fb.float_dense().tflite()
CONTRACT = Path(__file__).resolve().parents[2] / "tflm" / "README.md"


def embedded(tflite: bytes = INT8, name: str = "sine_int8", arena: int = 2048) -> dict[str, str]:
    return embedded_files(check_model(name, tflite, arena))


def data_rows(source: str) -> list[str]:
    return re.findall(r"^  0x.*?(?=\};$|$)", source, re.MULTILINE)


@pytest.mark.parametrize("size", [1, 11, 12, 13, 24, 25, 1000])
def test_the_data_stands_in_the_rows_that_xxd_writes(size: int) -> None:
    if shutil.which("xxd") is None:
        pytest.skip("xxd is not installed here")
    data = bytes(number * 37 % 256 for number in range(size))
    written = subprocess.run(["xxd", "-i"], input=data, capture_output=True, check=True)
    assert data_rows(data_source(data)) == written.stdout.decode().splitlines()


@given(st.binary(min_size=1, max_size=200))
def test_the_data_source_is_the_file_byte_for_byte(data: bytes) -> None:
    source = data_source(data)
    body = source[source.index("{") + 1 : source.index("}")]
    assert bytes(int(text, 16) for text in body.split(",")) == data
    assert f"const int g_model_len = {len(data)};" in source
    assert f"// sha256 {hashlib.sha256(data).hexdigest()}." in source
    assert all(len(row.split()) <= 12 for row in data_rows(source))


def test_the_data_is_constant_and_aligned_as_the_interpreter_needs_it() -> None:
    source = embedded()["model_data.cc"]
    assert "\nalignas(16) const unsigned char g_model[] = {\n" in source
    assert '\n#include "model_data.h"\n' in source


def test_an_empty_file_has_no_source() -> None:
    with pytest.raises(UnsupportedModelError, match="empty"):
        data_source(b"")


def code_lines(source: str) -> list[str]:
    """Lines of C++ without comments, indentation and the guards of headers."""
    lines = (line.partition("//")[0].strip() for line in source.splitlines())
    return [
        line for line in lines if line and not line.startswith(("#ifndef", "#define", "#endif"))
    ]


def contract(file: str) -> list[str]:
    section = CONTRACT.read_text().partition(f"`{file}`\n\n```cpp\n")[2]
    assert section, file
    return code_lines(section.partition("```")[0])


@pytest.mark.parametrize(
    "file",
    ["model_data.h", "model_operators.h", "model_operators.cc", "model_arena.h", "model_type.h"],
)
def test_the_sources_are_those_of_the_contract(file: str) -> None:
    assert code_lines(embedded()[file]) == contract(file)


def test_every_header_is_guarded_and_every_file_is_ascii() -> None:
    files = embedded()
    assert set(files) == {
        "model_data.cc",
        "model_data.h",
        "model_operators.cc",
        "model_operators.h",
        "model_arena.h",
        "model_type.h",
        "model.json",
    }
    for name, text in files.items():
        assert text.isascii(), name
        assert text.endswith("\n"), name
        if name.endswith(".h"):
            guard = name.upper().replace(".", "_") + "_"
            assert f"#ifndef {guard}\n#define {guard}\n" in text
            assert text.endswith(f"#endif  // {guard}\n")


def test_the_headers_do_not_depend_on_the_weights() -> None:
    other = embedded(changed(fb.int8_dense(), 1, data=b"\x07").tflite())
    same = {name for name, text in embedded().items() if other[name] == text}
    assert same == set(embedded()) - {"model_data.cc", "model.json"}


def test_a_float_model_has_the_float_type() -> None:
    assert "constexpr TfLiteType kModelType = kTfLiteFloat32;" in embedded(FLOAT)["model_type.h"]
    (end,) = json.loads(embedded(FLOAT)["model.json"])["inputs"]
    assert (end["type"], end["scale"]) == ("FLOAT32", None)


def test_each_operator_version_is_registered_once() -> None:
    dense = fb.float_dense()
    relu = fb.Operator(fb.RELU, (3,), (4,), 2)
    tensors = [*dense.tensors, fb.Tensor("z")]
    model = dataclasses.replace(
        dense, tensors=tensors, operators=[*dense.operators, relu], outputs=(4,)
    )
    files = embedded(model.tflite())
    assert "constexpr int kModelOperatorCount = 2;" in files["model_operators.h"]
    registered = re.findall(r"Register_(\w+)\(\), (\d+)\)", files["model_operators.cc"])
    assert registered == [("FULLY_CONNECTED", "1"), ("RELU", "2")]


def test_every_kernel_can_be_registered() -> None:
    operators = tuple(Operator(name, 1, (0, 0, 0), (3,), None) for name in KERNELS)
    graph = dataclasses.replace(read_graph(FLOAT), operators=operators)
    files = embedded_files(EmbeddableModel("all", FLOAT, graph, None, 1024))
    assert files["model_operators.cc"].count("::Register_") == len(KERNELS)


def test_the_description_tells_what_the_model_is() -> None:
    description = json.loads(embedded()["model.json"])
    assert description["sha256"] == hashlib.sha256(INT8).hexdigest()
    assert description["size_bytes"] == len(INT8)
    assert description["constant_bytes"] == 1 + 4
    assert description["arena_bytes"] == 2048
    assert description["operators"] == [
        {
            "name": "FULLY_CONNECTED",
            "version": 4,
            "count": 1,
            "kernel": "tensorflow/lite/micro/kernels/fully_connected.cc",
        }
    ]
    assert description["multiply_accumulates"] == 1
    assert description["inputs"] == [
        {
            "name": "x",
            "type": "INT8",
            "shape": [1, 1],
            "scale": pytest.approx(0.01),
            "zero_point": -128,
        }
    ]
    assert [end["name"] for end in description["outputs"]] == ["y"]


@pytest.mark.parametrize("fields", [{"zero_points": [3]}, {"scales": [float("nan")]}])
def test_a_float_end_has_no_scale_even_if_the_file_gives_one(
    fields: dict[str, list[float]],
) -> None:
    model = changed(fb.float_dense(), 0, **fields)
    (end,) = json.loads(embedded(model.tflite())["model.json"])["inputs"]
    assert (end["scale"], end["zero_point"]) == (None, None)


@pytest.mark.parametrize(("given", "written"), [(16, 16), (17, 32), (1000, 1008)])
def test_a_given_arena_is_rounded_up_to_the_alignment(given: int, written: int) -> None:
    assert f"kModelArenaSize = {written};" in embedded(arena=given)["model_arena.h"]


def test_an_arena_that_is_not_given_is_estimated_in_whole_blocks() -> None:
    assert check_model("sine_int8", INT8).arena_bytes == 1024


@pytest.mark.parametrize("arena", [15, 0, -1])
def test_an_arena_that_holds_nothing_is_an_error(arena: int) -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        check_model("sine", INT8, arena)


def test_more_memory_than_the_processor_can_address_is_refused() -> None:
    relu = fb.Operator(fb.RELU, (1,), (2,))
    reshape = fb.Operator(fb.RESHAPE, (0,), (1,))
    back = fb.Operator(fb.RESHAPE, (2,), (3,))
    wide = (1 << 15, 1 << 15)
    tensors = [
        fb.Tensor("x"),
        fb.Tensor("a", shape=wide),
        fb.Tensor("b", shape=wide),
        fb.Tensor("y"),
    ]
    model = fb.Model(tensors, [reshape, relu, back], (0,), (3,))
    with pytest.raises(UnsupportedModelError, match=r"needs \d{10} bytes of memory"):
        check_model("wide", model.tflite())


@pytest.mark.parametrize("name", ["", "1st", "sine-int8", "_x", "a b", 'x"', "ü", "a\n"])
def test_a_name_that_is_no_identifier_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        check_model(name, INT8)


def test_a_model_that_is_no_scalar_function_has_no_type_for_hello_world() -> None:
    vector = changed(changed(fb.float_dense(), 0, shape=(1, 2)), 1, shape=(1, 2), data=bytes(8))
    model = check_model("vector", vector.tflite())
    assert model.scalar is None
    assert "kModelType = kTfLiteNoType;" in embedded_files(model)["model_type.h"]


@given(st.integers(1, 1 << 20))
def test_the_arena_that_the_toolchain_measures_is_written_as_this_package_writes_it(
    blocks: int,
) -> None:
    files = embedded_files(check_model("sine_int8", INT8, 16 * blocks))
    assert files["model_arena.h"] == arena_header(16 * blocks)
