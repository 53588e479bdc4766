"""The notebook: its two forms agree, it runs from start to end, and Jupyter serves it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from toolchain.actions import Runner, Step, StepResult
from toolchain.commands.notebook import LABEL_NOTEBOOK
from toolchain.engine import Engine
from toolchain.layout import Layout
from toolchain.notebook import EXECUTED, NOTEBOOK, execution_step, pair_step
from toolchain.pipeline import Pipeline, TrainingOptions

EPOCHS = (3, 2)

RunSteps = Callable[..., tuple[Runner, Mapping[str, StepResult]]]


@pytest.fixture(scope="session")
def executed(layout: Layout, notebook_image: str, run_steps: RunSteps) -> Mapping[str, bytes]:
    step = execution_step(layout, notebook_image, EPOCHS)
    runner, results = run_steps([step])
    return {
        str(path): runner.store.get(digest) for path, digest in results[step.name].outputs.items()
    }


def outputs_of(executed: Mapping[str, bytes]) -> list[dict[str, Any]]:
    cells = json.loads(executed[str(EXECUTED)])["cells"]
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def test_the_two_forms_of_the_notebook_agree(
    layout: Layout, notebook_image: str, run_steps: RunSteps
) -> None:
    step: Step = pair_step(layout, notebook_image)
    runner, results = run_steps([step])
    (digest,) = results[step.name].outputs.values()
    assert runner.store.get(digest) == (layout.project / NOTEBOOK).read_bytes(), (
        "make it with: ./invoke notebook --pair"
    )


def test_the_notebook_runs_from_start_to_end(executed: Mapping[str, bytes]) -> None:
    cells = [
        cell for cell in json.loads(executed[str(EXECUTED)])["cells"] if cell["cell_type"] == "code"
    ]
    assert len(cells) > 10
    counts = [cell["execution_count"] for cell in cells]
    assert counts == list(range(1, len(cells) + 1))
    assert not [each for each in outputs_of(executed) if each["output_type"] == "error"]
    text = "".join("".join(each.get("text", "")) for each in outputs_of(executed))
    assert "all packages are there" in text
    assert "after epoch 3:" in text
    assert "after epoch 2:" in text


def test_the_notebook_shows_every_plot_of_the_story(executed: Mapping[str, bytes]) -> None:
    pictures = [each for each in outputs_of(executed) if "image/png" in each.get("data", {})]
    assert len(pictures) == 12


def test_the_notebooks_model_is_the_pipelines_byte_for_byte(
    executed: Mapping[str, bytes], pipeline: Pipeline, run_steps: RunSteps
) -> None:
    import dataclasses

    short = dataclasses.replace(pipeline, training=TrainingOptions(epochs=EPOCHS[1]))
    runner, results = run_steps([short.models.train("sine"), short.models.convert("sine")])
    made = {
        str(path): runner.store.get(digest)
        for path, digest in results["convert sine"].outputs.items()
    }
    for name in ("sine_float.tflite", "sine_int8.tflite"):
        assert executed[f"sine/{name}"] == made[name]
    array = executed["sine/sine_int8/model_data.cc"].decode()
    assert f"g_model_len = {len(made['sine_int8.tflite'])};" in array


@dataclass(frozen=True)
class Served:
    """A running ``./invoke notebook``."""

    process: subprocess.Popen[str]
    address: str
    token: str

    def ask(self, path: str, *, token: str = "", method: str = "GET") -> tuple[int, str]:
        request = urllib.request.Request(f"{self.address}{path}", method=method)
        if token:
            request.add_header("Authorization", f"token {token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""


@pytest.fixture(scope="module")
def served(layout: Layout, engine: Engine, notebook_image: str) -> Iterator[Served]:
    assert notebook_image
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", "notebook"],
        cwd=layout.project,
        env=os.environ | {"DOCKER_HOST": engine.address.url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"open (http://127\.0\.0\.1:\d+)/lab/tree/\S+\.ipynb\?token=(\S+)", line)
        assert found, line
        yield Served(process, found[1], found[2])
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        left = engine.client.containers.list(
            all=True, filters={"label": f"tinyml-toolchain.owner-pid={process.pid}"}
        )
        assert left == []


def test_jupyter_asks_for_the_token(served: Served) -> None:
    assert served.ask("/api/contents")[0] == 403
    assert served.ask("/api/contents", token="wrong")[0] == 403
    status, text = served.ask("/api/contents", token=served.token)
    assert status == 200
    names = {each["name"] for each in json.loads(text)["content"]}
    assert {"create_sine_model.ipynb", "create_sine_model.py"} <= names


def test_jupyter_opens_the_notebook_and_starts_its_kernel(served: Served) -> None:
    status, text = served.ask("/api/contents/create_sine_model.ipynb", token=served.token)
    assert status == 200
    assert json.loads(text)["content"]["cells"]
    status, text = served.ask("/api/kernels", token=served.token, method="POST")
    assert status == 201
    assert json.loads(text)["name"] == "python3"


def test_jupyter_has_no_network_no_power_and_the_project_read_only(
    served: Served, engine: Engine
) -> None:
    (container,) = engine.client.containers.list(
        filters={
            "label": [f"{LABEL_NOTEBOOK}=1", f"tinyml-toolchain.owner-pid={served.process.pid}"]
        }
    )
    probe = "cat /proc/net/dev | tail -n +3 | cut -d: -f1; touch /project/model/x /opt/x; id -u"
    said = container.exec_run(["sh", "-c", probe], user="65534:65534").output.decode()
    lines = said.split()
    assert lines[0] == "lo"
    assert said.count("Read-only file system") == 2
    assert container.attrs["HostConfig"]["CapDrop"] == ["ALL"]
    assert container.attrs["HostConfig"]["NetworkMode"] == "none"
