from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from model.convert_network import MOST_SAMPLES, read_representative
from model.errors import UnsupportedModelError, UnusableDataError

ONE = SimpleNamespace(inputs=[SimpleNamespace(name="signal", shape=(None, 8))])
SCALAR = SimpleNamespace(inputs=[SimpleNamespace(name="x", shape=(None, 1))])
TWO = SimpleNamespace(
    inputs=[
        SimpleNamespace(name="image", shape=(None, 4, 4, 1)),
        SimpleNamespace(name="number", shape=(None, None)),
    ]
)


def saved(folder: Path, array: object) -> Path:
    np.save(folder / "data.npy", np.asarray(array))
    return folder / "data.npy"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((5, 3)), r"shape \(5, 3\)"),
        (np.zeros((0, 8)), r"shape \(0, 8\)"),
        (np.zeros(8), r"shape \(8,\)"),
        (np.zeros((2, 8, 1)), r"shape \(2, 8, 1\)"),
        (np.full((5, 8), np.nan), "not finite"),
        (np.full((5, 8), np.inf), "not finite"),
        (np.full((5, 8), 1e300), "not finite"),
        (np.full((5, 8), "x"), "<U1"),
        (np.full((5, 8), 1j), "complex"),
        (np.full((5, 8), True), "bool"),
    ],
)
def test_data_that_do_not_fit_are_refused(tmp_path: Path, data: object, message: str) -> None:
    with pytest.raises(UnusableDataError, match=message) as caught:
        read_representative(saved(tmp_path, data), ONE)
    assert "data.npy" in caught.value.what
    assert caught.value.next_step


@pytest.mark.parametrize("inputs", [{}, {"inputs": None}, {"inputs": []}])
def test_a_network_that_was_never_built_is_refused(
    tmp_path: Path, inputs: dict[str, object]
) -> None:
    with pytest.raises(UnsupportedModelError, match="the shape of its inputs") as caught:
        read_representative(saved(tmp_path, np.arange(5)), SimpleNamespace(**inputs))
    assert caught.value.next_step


def test_a_row_of_numbers_is_enough_for_a_scalar_input(tmp_path: Path) -> None:
    (values,) = read_representative(saved(tmp_path, np.arange(5)), SCALAR)
    assert values.shape == (5, 1)
    assert values.dtype == np.float32


def test_of_many_samples_every_so_manieth_is_taken(tmp_path: Path) -> None:
    data = np.arange(2500.0)
    (values,) = read_representative(saved(tmp_path, data), SCALAR)
    assert len(values) <= MOST_SAMPLES
    np.testing.assert_array_equal(values[:, 0], data[::3])


def test_several_inputs_are_found_by_name_number_or_place(tmp_path: Path) -> None:
    image, number = np.zeros((3, 4, 4, 1)), np.ones((3, 7))
    for names in (("image", "number"), ("0", "1"), ("arr_0", "arr_1"), ("image", "1")):
        np.savez(tmp_path / "data.npz", **dict(zip(names, (image, number), strict=True)))  # type: ignore[arg-type]
        found = read_representative(tmp_path / "data.npz", TWO)
        assert [each.shape for each in found] == [image.shape, number.shape]


def test_a_missing_input_is_refused_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", image=np.zeros((3, 4, 4, 1)))
    with pytest.raises(UnusableDataError, match="no array for the model's input 1, number"):
        read_representative(tmp_path / "data.npz", TWO)


def test_inputs_with_different_numbers_of_samples_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", image=np.zeros((3, 4, 4, 1)), number=np.ones((2, 7)))
    with pytest.raises(UnusableDataError, match="hold 2, 3 samples"):
        read_representative(tmp_path / "data.npz", TWO)
