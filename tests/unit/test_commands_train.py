from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.actions_support import RecordingReporter, files_under
from tests.unit.commands_support import FLOAT, INT8, copy_project, know, steps_of
from toolchain.commands.session import open_session
from toolchain.commands.train import train
from toolchain.errors import EngineUnavailableError
from toolchain.pipeline import TrainingOptions


def test_all_models_of_the_family_are_published(tmp_path: Path) -> None:
    layout = copy_project(tmp_path)
    with open_session(RecordingReporter(), layout=layout) as session:
        know(session, steps_of(session, [INT8, FLOAT]), {})
        folder = train(session)
    assert folder == layout.build / "model" / "sine"
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
        know(session, steps_of(session, [INT8, FLOAT]), {})
    with (
        open_session(
            RecordingReporter(), layout=layout, training=TrainingOptions(seed=5)
        ) as session,
        pytest.raises(EngineUnavailableError),
    ):
        train(session)
