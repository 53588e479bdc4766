"""The training step in the real image, against itself and against Keras' own training."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np

from tests.containers.model_bench import ModelBench

EPOCHS = 3


def test_a_training_gives_the_same_bytes_again_also_on_one_processor(
    bench: ModelBench,
) -> None:
    step = bench.training(EPOCHS)
    (before,) = bench.known(step).values()
    again = bench.fresh(step, "taskset", "--cpu-list", "0")
    assert set(again) == {"sine.keras", "data.npz", "history.json"}
    assert again == before


def test_another_seed_gives_other_samples_and_another_network(bench: ModelBench) -> None:
    (one,), (other,) = (bench.known(bench.training(EPOCHS, seed)).values() for seed in (None, 4))
    assert all(one[name] != other[name] for name in one)
    assert json.loads(one["history.json"])["seed"] != json.loads(other["history.json"])["seed"]


def test_the_time_of_training_is_not_in_the_network(bench: ModelBench) -> None:
    (files,) = bench.known(bench.training(EPOCHS)).values()
    with zipfile.ZipFile(io.BytesIO(files["sine.keras"])) as archive:
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        metadata = json.loads(archive.read("metadata.json"))
    assert metadata["date_saved"] == "1980-01-01@00:00:00"


def weights(data: bytes) -> list[bytes]:
    with np.load(io.BytesIO(data)) as archive:
        return [archive[name].tobytes() for name in archive.files]


def test_the_weights_are_those_of_keras_fit_over_the_same_order_bit_for_bit(
    bench: ModelBench,
) -> None:
    outputs = ["ours.npz", "fit.npz", "other.npz", "history.json"]
    (files,) = bench.known(bench.script("model_fit", ["/out"], outputs)).values()
    ours, fit, other = (weights(files[f"{name}.npz"]) for name in ("ours", "fit", "other"))
    assert len(ours) == 6
    assert ours == fit
    # Another order in the last epoch is seen, so the comparison can fail.
    assert ours != other
    history = json.loads(files["history.json"])
    assert np.shape(history["ours"]) == (EPOCHS, 4)
    assert np.allclose(history["ours"], history["fit"], rtol=1e-6, atol=0)


def test_the_default_training_learns_the_sine(bench: ModelBench) -> None:
    history = json.loads(bench.sine()["history.json"])
    assert history["epochs"] == 600
    assert history["test_loss"] < 0.02
    assert history["test_mae"] < 0.12
    for name in ("loss", "mae", "val_loss", "val_mae"):
        assert len(history[name]) == 600
        assert history[name][-1] < history[name][0] / 2
    assert history["loss"][-1] < 0.02
