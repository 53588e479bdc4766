from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.actions_support import RecordingReporter, files_under
from tests.unit.commands_support import FLOAT, INT8, copy_project, know
from toolchain.commands.train import pinned_sources, train
from toolchain.errors import EngineUnavailableError, StepFailedError
from toolchain.pipeline import TrainingOptions
from toolchain.session import open_session


def histories() -> dict[tuple[str, str], bytes]:
    figures = ("loss", "mae", "val_loss", "val_mae")

    def history(value: float) -> bytes:
        listed = {figure: [1.0, value] for figure in figures}
        return json.dumps({"epochs": 2, "test_loss": value, "test_mae": value, **listed}).encode()

    return {
        ("train sine", "history.json"): history(0.1),
        ("train sine model_1", "history.json"): history(0.2),
    }


def test_all_models_of_the_family_are_published(tmp_path: Path) -> None:
    layout = copy_project(tmp_path)
    with open_session(RecordingReporter(), layout=layout) as session:
        pinned = pinned_sources(session.pins)
        know(session, session.pipeline.story("sine", pinned), histories())
        trained = train(session)
    folder = layout.build / "model" / "sine"
    assert trained.folder == folder
    assert [(each.name, each.loss) for each in trained.networks] == [
        ("model_1", 0.2),
        ("model_2", 0.1),
    ]
    found = files_under(folder)
    assert found["sine.keras"] == b"train sine sine.keras"
    for model in (INT8, FLOAT):
        assert found[f"{model.name}.tflite"] == f"convert sine {model.name}.tflite".encode()
        assert f"{model.name}/model_data.h" in found
        assert f"{model.name}/reference.json" in found


def test_other_options_are_another_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
    layout = copy_project(tmp_path)
    with open_session(RecordingReporter(), layout=layout) as session:
        know(session, session.pipeline.story("sine", pinned_sources(session.pins)), histories())
    with (
        open_session(
            RecordingReporter(), layout=layout, training=TrainingOptions(seed=5)
        ) as session,
        pytest.raises(EngineUnavailableError),
    ):
        train(session)


@pytest.mark.parametrize(
    "history",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"epochs": 2, "loss": []}',
        b'{"epochs": "2"}',
        b'{"epochs": 2, "loss": [NaN]}',
    ],
)
def test_a_history_that_cannot_be_read_is_told_with_its_step(
    tmp_path: Path, history: bytes
) -> None:
    layout = copy_project(tmp_path)
    with open_session(RecordingReporter(), layout=layout) as session:
        steps = session.pipeline.story("sine", pinned_sources(session.pins))
        know(session, steps, histories() | {("train sine", "history.json"): history})
        with pytest.raises(StepFailedError, match=r"'train sine' left a history\.json") as caught:
            train(session)
    assert caught.value.why
