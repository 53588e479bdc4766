from __future__ import annotations

import dataclasses
import io
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.arrays import Array
from model.case_reference import (
    CaseReference,
    Opinion,
    case_reference_text,
    cases_source,
    differing_cases,
    opinion_of,
)
from model.cases import BYTES_OF_CASES, DTYPES, MOST, Cases, given_cases, random_cases
from model.cost import multiply_accumulates
from model.draw_cases import main as draw_cases
from model.errors import UnusableDataError
from model.files import unzip
from model.graph import Graph, Quantisation, Tensor, read_graph
from tests.unit import model_support as fb

INT8 = read_graph(fb.int8_dense().tflite())
FLOAT = read_graph(fb.float_dense().tflite())


def tensor(kind: str, *shape: int) -> Tensor:
    return dataclasses.replace(FLOAT.tensors[0], type=kind, shape=shape)


def graph_of(*inputs: Tensor) -> Graph:
    tensors = (*inputs, FLOAT.tensors[FLOAT.outputs[0]])
    return Graph(tensors, tuple(range(len(inputs))), (len(inputs),), ())


SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple)
TENSORS = st.lists(
    st.builds(lambda kind, shape: tensor(kind, *shape), st.sampled_from(sorted(DTYPES)), SHAPES),
    min_size=1,
    max_size=3,
)


@given(TENSORS, st.integers(0, 1000))
def test_cases_come_back_from_their_bytes(tensors: Sequence[Tensor], seed: int) -> None:
    cases = random_cases(graph_of(*tensors), seed)
    data = cases.as_bytes()
    again = Cases.from_bytes(data, tensors)
    assert again.count == cases.count
    assert again.as_bytes() == data
    for one, other in zip(again.tensors, cases.tensors, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@given(TENSORS, st.integers(0, 1000))
def test_drawn_cases_have_both_ends_and_take_as_much_flash_as_they_may(
    tensors: Sequence[Tensor], seed: int
) -> None:
    cases = random_cases(graph_of(*tensors), seed)
    assert 3 <= cases.count <= MOST
    assert len(cases.as_bytes()) <= BYTES_OF_CASES
    for values in cases.tensors:
        for end in (1, 2):
            assert (values[end] == values[end].flat[0]).all()
        assert (values[1].flat[0] <= values).all()
        assert (values <= values[2].flat[0]).all()
    assert cases.as_bytes() == random_cases(graph_of(*tensors), seed).as_bytes()


def test_a_large_input_has_few_cases_and_another_seed_other_ones() -> None:
    large = graph_of(tensor("INT8", 1, 96, 96, 1))
    assert random_cases(large, 1).count == BYTES_OF_CASES // 9216
    huge = graph_of(tensor("INT8", 1, 300, 300, 3))
    one, other = (random_cases(huge, seed) for seed in (1, 2))
    assert one.count == 1
    assert one.as_bytes() != other.as_bytes()
    assert len(np.unique(one.tensors[0])) == 256


@pytest.mark.parametrize("extra", [1, 3])
def test_bytes_that_are_no_whole_cases_are_an_error(extra: int) -> None:
    with pytest.raises(ValueError, match="are not cases of 4 bytes"):
        Cases.from_bytes(bytes(8 + extra), [tensor("FLOAT32", 1)])


def saved(folder: Path, *arrays: object, **named: object) -> Path:
    if arrays:
        path = folder / "inputs.npy"
        np.save(path, np.asarray(arrays[0]))
        return path
    path = folder / "inputs.npz"
    np.savez(path, **named)  # type: ignore[arg-type]
    return path


def test_floats_are_quantised_for_an_int8_model(tmp_path: Path) -> None:
    scale, zero_point = 0.01, -128
    reals = np.array([[0.0], [0.01], [1.0], [100.0], [-5.0], [0.014]])
    cases = given_cases(INT8, saved(tmp_path, reals))
    steps = np.clip(np.round(reals / scale) + zero_point, -128, 127)
    assert cases.tensors[0].dtype == np.int8
    np.testing.assert_array_equal(cases.tensors[0], steps.astype(np.int8).reshape(-1, 1, 1))


def test_inputs_of_the_right_type_are_taken_as_they_are(tmp_path: Path) -> None:
    raw = np.array([[[5]], [[-7]]], np.int8)
    np.testing.assert_array_equal(given_cases(INT8, saved(tmp_path, raw)).tensors[0], raw)
    wide = given_cases(INT8, saved(tmp_path, raw.astype(np.int64)))
    np.testing.assert_array_equal(wide.tensors[0], raw)
    assert wide.tensors[0].dtype == np.int8
    real = np.array([0.1, 1.0 / 3], np.float64).reshape(-1, 1, 1)
    np.testing.assert_array_equal(
        given_cases(FLOAT, saved(tmp_path, real)).tensors[0], real.astype(np.float32)
    )


def test_several_inputs_are_found_by_name_or_number(tmp_path: Path) -> None:
    two = graph_of(tensor("INT8", 1, 2), dataclasses.replace(tensor("INT32", 3), name="second"))
    path = saved(tmp_path, **{"0": np.ones((2, 2), np.int8), "second": np.ones((2, 3), np.int32)})
    assert [each.shape for each in given_cases(two, path).tensors] == [(2, 1, 2), (2, 3)]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 2), np.float32), r"shape \(3, 2\)"),
        (np.zeros((), np.float32), r"shape \(\)"),
        (np.zeros((0, 1), np.float32), "0 cases"),
        (np.array([[np.nan]]), "not finite"),
        (np.array([[1 + 2j]]), "complex"),
        (np.array([[300]]), "int64"),
        (np.array([["a"]]), "<U1"),
        (np.array([[True]]), "bool"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_with_their_file(
    tmp_path: Path, array: object, message: str
) -> None:
    with pytest.raises(UnusableDataError, match=message) as caught:
        given_cases(INT8, saved(tmp_path, array))
    assert "inputs.npy" in caught.value.what
    assert caught.value.next_step


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, np.float64(1e300)])
def test_floats_that_single_precision_does_not_have_are_refused(
    tmp_path: Path, number: float
) -> None:
    dtype = np.float64 if number == 1e300 else np.float32
    with pytest.raises(UnusableDataError, match="not finite"):
        given_cases(FLOAT, saved(tmp_path, np.full((2, 1, 1), number, dtype)))


def test_a_float_beyond_all_steps_is_the_highest_one(tmp_path: Path) -> None:
    (values,) = given_cases(INT8, saved(tmp_path, np.array([[1e308], [-1e308]]))).tensors
    assert values.ravel().tolist() == [127, -128]


DAMAGED_HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3, "


def npy(header: bytes, version: int = 1) -> bytes:
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(header)) + header


def damaged_archive(place: int, *changed: int) -> bytes:
    """Return a compressed archive with other bytes at a place of its only member."""
    stream = io.BytesIO()
    np.savez_compressed(stream, np.arange(300.0))
    data = bytearray(stream.getvalue())
    start = place if place >= 0 else data.index(b"PK\x01\x02") - place
    data[start : start + len(changed)] = changed
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        npy(DAMAGED_HEADER + b"\n"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1 << 60,)}\n"),
        npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}\n"),
        damaged_archive(80, *[0xFF] * 40),
        damaged_archive(-10, 99),
        damaged_archive(-8, 0xFF),
    ],
    ids=["header", "shape", "memory", "deflated", "method", "encrypted"],
)
def test_a_damaged_file_is_refused_wherever_it_is_damaged(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "inputs.npz"
    path.write_bytes(data)
    with pytest.raises(UnusableDataError, match="cannot be read as arrays") as caught:
        given_cases(INT8, path)
    assert caught.value.why


def test_a_member_that_is_no_array_is_no_input(tmp_path: Path) -> None:
    path = saved(tmp_path, **{"0": np.zeros((2, 1), np.int8)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("arr_0", b"a text")
    assert given_cases(INT8, path).count == 2
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0", b"a text")
    with pytest.raises(UnusableDataError, match="no array for the model's input 0"):
        given_cases(INT8, path)


@pytest.mark.parametrize("data", [b"", b"\x93NUMPY", b"PK\x03\x04", b"no array at all"])
def test_a_file_that_holds_no_arrays_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "inputs.npy"
    path.write_bytes(data)
    with pytest.raises(UnusableDataError, match="cannot be read as arrays"):
        given_cases(INT8, path)


def test_pickled_objects_are_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "inputs.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UnusableDataError, match="cannot be read as arrays"):
        given_cases(INT8, path)


def test_different_numbers_of_cases_and_missing_inputs_are_refused(tmp_path: Path) -> None:
    two = graph_of(tensor("INT8", 1), tensor("INT8", 1))
    with pytest.raises(UnusableDataError, match="2, 3 cases"):
        given_cases(
            two,
            saved(tmp_path, **{"0": np.zeros((2, 1), np.int8), "arr_1": np.zeros((3, 1), np.int8)}),
        )
    with pytest.raises(UnusableDataError, match="no array for the model's input 1"):
        given_cases(two, saved(tmp_path, **{"0": np.zeros((2, 1), np.int8)}))


def test_the_command_writes_the_cases_twice(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(fb.int8_dense().tflite())
    out = tmp_path / "out"
    assert draw_cases(["--tflite", str(tmp_path / "m.tflite"), "--out", str(out)]) == 0
    cases = Cases.from_bytes((out / "cases.bin").read_bytes(), [INT8.tensors[0]])
    assert cases.count == MOST
    np.testing.assert_array_equal(np.load(out / "inputs.npz")["0"], cases.tensors[0])
    assert set(unzip((out / "inputs.npz").read_bytes())) == {"0.npy"}


def numbers(source: str, name: str) -> bytes:
    body = source.partition(f"{name}[] = {{")[2].partition("};")[0]
    return bytes(int(text, 16) for text in body.split(","))


@given(st.binary(min_size=1, max_size=60), st.binary(min_size=1, max_size=60), st.integers(1, 9))
def test_the_firmware_gets_the_same_bytes(inputs: bytes, outputs: bytes, count: int) -> None:
    source = cases_source(inputs, outputs, count)
    assert numbers(source, "g_case_inputs") == inputs
    assert numbers(source, "g_case_outputs") == outputs
    assert f"const int kCaseCount = {count};" in source


def reference(judged: Sequence[int], other: Sequence[int] | None) -> CaseReference:
    def column(values: Sequence[int]) -> Cases:
        return Cases((np.array(values, np.int8).reshape(-1, 1, 1),))

    opinion = Opinion(None, "it cannot") if other is None else Opinion(column(other))
    return CaseReference(INT8, "0" * 64, column(judged), column(judged), {"another 1.0": opinion})


def test_the_reference_has_every_output_as_bytes() -> None:
    text = case_reference_text("m", reference([1, -1], [1, 2]), "a judge")
    assert '"judged": [["01"], ["ff"]]' in text
    assert '"outputs": [["01"], ["02"]]' in text
    assert '"cases": 2' in text
    assert '"refusal": "it cannot"' in case_reference_text("m", reference([1], None), "a judge")


@pytest.mark.parametrize("said", ["", "\n", "first\nlast\n"])
def test_an_interpreter_may_refuse_a_model_without_a_word(said: str) -> None:
    def run() -> list[list[Array]]:
        raise RuntimeError(said)

    assert opinion_of(run) == Opinion(None, said.strip().split("\n")[-1] or "RuntimeError")


def test_differing_cases_are_counted_by_their_bytes() -> None:
    def floats(*values: float) -> Cases:
        return Cases((np.array(values, np.float32).reshape(-1, 1),))

    assert differing_cases(floats(0.0, 1.0, 2.0), floats(-0.0, 1.0, 3.0)) == 2


def test_products_are_counted_as_the_kernels_compute_them() -> None:
    assert multiply_accumulates(INT8) == 1
    convolution = read_graph(fb.int8_convolution().tflite())
    operator = convolution.operators[0]
    source, filters = (convolution.tensors[index] for index in operator.inputs[:2])
    output = convolution.tensors[operator.outputs[0]]
    assert source.shape[3] == filters.shape[3]
    assert multiply_accumulates(convolution) == (
        output.elements * filters.shape[1] * filters.shape[2] * filters.shape[3]
    )
    depthwise = read_graph(fb.int8_convolution(fb.DEPTHWISE_CONV_2D).tflite())
    operator = depthwise.operators[0]
    filters, output = (
        depthwise.tensors[index] for index in (operator.inputs[1], operator.outputs[0])
    )
    assert multiply_accumulates(depthwise) == (
        output.elements * filters.shape[1] * filters.shape[2]
    )


def test_a_tensor_with_one_scale_a_channel_has_no_single_one() -> None:
    from model.embedding import scalar_quantisation

    channels = dataclasses.replace(
        INT8.tensors[0], quantisation=Quantisation((0.1, 0.2), (0, 0), 0)
    )
    assert scalar_quantisation(channels) == (None, None)
