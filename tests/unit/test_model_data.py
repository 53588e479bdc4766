from __future__ import annotations

import ast
import math
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.data import NOISE, load_data, make_sine_data, save_data
from model.files import unzip, write_file, zip_bytes
from model.reference import float_inputs, int8_inputs
from model.training import number_shared_objects, sample_orders
from toolchain.pipeline.imports import module_closure

PROJECT = Path(__file__).resolve().parents[2]
HELLO_WORLD = PROJECT / "tflm" / "hello_world"
STEPS = ["model.train", "model.convert", "model.embed", "model.references"]
PARTS = {"train": 600, "validation": 200, "test": 200}


def single(value: float) -> float:
    """Round to single precision; exact for a quotient or product of two such numbers."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def test_samples_are_those_of_a_noisy_sine_in_three_parts() -> None:
    data = make_sine_data(1)
    xs, ys = (np.concatenate([getattr(data, f"{a}_{part}") for part in PARTS]) for a in "xy")
    for part, size in PARTS.items():
        assert getattr(data, f"x_{part}").shape == (size,)
        assert getattr(data, f"y_{part}").dtype == np.float32
        assert np.ptp(getattr(data, f"x_{part}")) > 6
    assert 0 <= xs.min() < 0.1
    assert 6.2 < xs.max() < 2 * math.pi
    assert np.std(ys - np.sin(xs)) == pytest.approx(NOISE, rel=0.1)
    assert abs(np.mean(ys - np.sin(xs))) < 0.02
    # Neither sorted nor twice the same.
    assert not np.all(np.diff(xs) > 0)
    assert len(set(xs.tolist())) > 990


def test_one_seed_is_one_file_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("one", 5), ("same", 5), ("other", 6)):
        save_data(make_sine_data(seed), tmp_path / name)
    one, same, other = ((tmp_path / name).read_bytes() for name in ("one", "same", "other"))
    assert one == same
    assert one != other


def test_saved_samples_are_read_back_here_and_by_numpy(tmp_path: Path) -> None:
    data = make_sine_data(1, samples=50)
    save_data(data, tmp_path / "data.npz")
    loaded = load_data(tmp_path / "data.npz")
    with np.load(tmp_path / "data.npz", allow_pickle=False) as archive:
        assert sorted(archive.files) == sorted(vars(data))
        for name, values in vars(data).items():
            assert np.array_equal(getattr(loaded, name), values)
            assert np.array_equal(archive[name], values)


def test_samples_with_a_part_missing_or_pickled_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    save_data(make_sine_data(1, samples=50), path)
    members = unzip(path.read_bytes())
    write_file(path, zip_bytes({k: v for k, v in members.items() if k != "x_test.npy"}))
    with pytest.raises(KeyError, match="x_test"):
        load_data(path)
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    members["x_test.npy"] = (tmp_path / "object.npy").read_bytes()
    write_file(path, zip_bytes(members))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_data(path)


def test_each_epoch_has_another_order_of_all_samples() -> None:
    orders = list(sample_orders(3, 20, 4))
    assert all(sorted(order) == list(range(20)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert [tuple(order) for order in sample_orders(3, 20, 4)] == [tuple(each) for each in orders]
    # The first epochs of a longer training are those of a shorter one.
    assert tuple(next(sample_orders(3, 20, 1))) == tuple(orders[0])
    assert tuple(next(sample_orders(4, 20, 1))) != tuple(orders[0])


def test_shared_objects_are_numbered_as_they_appear_and_stay_shared() -> None:
    def config(one: int, other: int) -> dict[str, object]:
        policies = [{"class_name": "P", "shared_object_id": each} for each in (one, other, one)]
        return {"layers": policies, "shared_object_id": other, "name": one}

    assert number_shared_objects(config(7001, 7002)) == {**config(1, 2), "name": 7001}


def test_int8_inputs_are_those_that_the_firmware_tries() -> None:
    test = (HELLO_WORLD / "hello_world_test.cc").read_text()
    assert "for (int input = -128; input <= 127; ++input)" in test
    assert int8_inputs().dtype == np.int8
    assert int8_inputs().tolist() == list(range(-128, 128))


def test_float_inputs_are_those_of_the_firmware_bit_for_bit() -> None:
    constants = (HELLO_WORLD / "constants.h").read_text()
    two, pi = re.search(r"float kXrange = (.+)f \* (.+)f;", constants).groups()  # type: ignore[union-attr]
    x_range = single(single(float(two)) * single(float(pi)))
    test = (HELLO_WORLD / "hello_world_test.cc").read_text()
    (count,) = re.findall(r"constexpr int kInputs = (\d+);", test)
    assert "Infer(static_cast<float>(i) / static_cast<float>(kInputs) * kXrange)" in test
    expected = [single(single(i / int(count)) * x_range) for i in range(int(count))]
    assert float_inputs().dtype == np.float32
    assert float_inputs().tolist() == expected


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(str(node.module).partition(".")[0])
    return names


def test_the_package_imports_nothing_of_the_orchestration() -> None:
    allowed = set(sys.stdlib_module_names) | {"model", "numpy"}
    allowed |= {"tensorflow", "keras", "tflite", "tflite_micro", "ai_edge_litert", "matplotlib"}
    sources = sorted((PROJECT / "model").rglob("*.py"))
    assert sources
    for source in sources:
        assert imported(source) <= allowed, source


def test_the_orchestration_imports_nothing_of_the_package() -> None:
    for folder in ("toolchain", "simulator"):
        for source in (PROJECT / folder).rglob("*.py"):
            assert not imported(source) & {"model", "numpy", "tensorflow"}, source


@pytest.mark.parametrize("step", STEPS)
def test_a_step_starts_with_its_own_files_and_without_tensorflow(step: str, tmp_path: Path) -> None:
    for path in module_closure(PROJECT, step):
        write_file(tmp_path / path, (PROJECT / path).read_bytes())
    code = f"import sys, {step}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "model" in found
    assert not {"toolchain", "simulator", "tensorflow", "keras"} & set(found)


def test_checking_a_model_needs_the_standard_library_only() -> None:
    files = {path.name for path in module_closure(PROJECT, "model.embed")}
    for name in files:
        assert imported(PROJECT / "model" / name) <= set(sys.stdlib_module_names) | {
            "model",
            "tflite",
        }
