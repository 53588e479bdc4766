"""The whole story as ``./invoke train`` makes it: figures, plots, and the page in a browser."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from html import unescape
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image

from model.history import TrainingRecord, read_history
from toolchain.actions import OutputOf, Runner, Step, StepResult
from toolchain.pins import Pins
from toolchain.pipeline import Pipeline
from toolchain.pipeline.story import PLOTS

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="not run: there is no Chromium")

RunSteps = Callable[[Sequence[Step]], tuple[Runner, Mapping[str, StepResult]]]
Files = Mapping[tuple[str, str], bytes]


@pytest.fixture(scope="session")
def steps(pipeline: Pipeline, pins: Pins) -> Mapping[str, Step]:
    steps = pipeline.story("sine", {"TensorFlow Lite Micro": pins.tflm.commit})
    return {step.name: step for step in steps}


@pytest.fixture(scope="session")
def files(steps: Mapping[str, Step], run_steps: RunSteps) -> Files:
    runner, results = run_steps(list(steps.values()))
    return {
        (name, str(path)): runner.store.get(digest)
        for name, result in results.items()
        for path, digest in result.outputs.items()
    }


@pytest.fixture(scope="session")
def report(files: Files) -> str:
    return files["report sine", "report.html"].decode()


@pytest.fixture(scope="session")
def records(files: Files) -> dict[str, TrainingRecord]:
    names = {"model_1": "train sine model_1", "model_2": "train sine"}
    return {
        name: read_history(files[step, "history.json"].decode()) for name, step in names.items()
    }


def test_model_1_underfits_and_model_2_does_not(records: dict[str, TrainingRecord]) -> None:
    small, large = records["model_1"], records["model_2"]
    assert (len(small.epochs), len(large.epochs)) == (1000, 600)
    assert small.last.loss == pytest.approx(0.155, abs=0.02)
    assert small.last.mae == pytest.approx(0.305, abs=0.02)
    assert small.test_loss > 10 * large.test_loss
    assert large.epochs[199].val_loss < 0.1 * small.last.val_loss
    assert large.test_mae < 0.1


def test_conversions_compute_what_keras_does(files: Files) -> None:
    compared = json.loads(files["compare sine", "comparison.json"])
    found = {(each["form"], each["runtime"]): each for each in compared["outcomes"][1:]}
    assert set(found) == {
        ("keras", "Keras"),
        *(
            (form, runtime)
            for form in ("float", "dynamic", "int8")
            for runtime in ("LiteRT", "TFLM")
        ),
    }
    for form in ("float", "dynamic"):
        for runtime in ("LiteRT", "TFLM"):
            assert found[form, runtime]["distance_from_keras"] < 1e-5
    for runtime in ("LiteRT", "TFLM"):
        assert found["int8", runtime]["distance_from_keras"] < 0.1
        assert found["int8", runtime]["grid_errors"]["largest"] < 0.1


def test_the_comparison_and_the_reference_agree_on_int8(files: Files) -> None:
    compared = json.loads(files["compare sine", "comparison.json"])["int8"]
    reference = json.loads(files["reference sine_int8", "reference.json"])
    for part in ("inputs", "tflm", "litert"):
        assert compared[part] == reference[part]


@pytest.mark.parametrize("name", PLOTS)
def test_a_plot_is_a_picture_of_some_size_without_times(files: Files, name: str) -> None:
    data = files["plot sine", f"{name}.png"]
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.format == "PNG"
        assert picture.width == 1080
        assert not picture.info.keys() & {"Software", "Creation Time", "Date"}
        colours = picture.convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 100


def test_plots_and_report_have_the_same_bytes_when_made_again(
    steps: Mapping[str, Step],
    files: Files,
    run_in_image: Callable[..., dict[str, bytes]],
) -> None:
    for name in ("plot sine", "report sine"):
        step = steps[name]
        inputs = {
            str(path): files[source.step, str(source.path)]
            if isinstance(source, OutputOf)
            else source
            for path, source in step.inputs.items()
        }
        outputs = [str(path) for path in step.outputs]
        again = run_in_image(step.image, step.arguments, inputs, outputs)
        assert again == {path: files[name, path] for path in outputs}


def test_the_report_is_one_file_that_needs_no_network(report: str) -> None:
    assert re.findall(r'(?:src|href)="(?!data:image/png;base64,)', report) == []
    without_pictures = re.sub(r'src="data:[^"]*"', "", report)
    for outside in ("http:", "https:", "url(", "@import", "<script", "<link"):
        assert outside not in without_pictures


def test_the_report_shows_every_plot(report: str, files: Files) -> None:
    import base64

    shown = {base64.b64decode(each) for each in re.findall(r"base64,([^\"]+)", report)}
    assert shown == {files["plot sine", f"{name}.png"] for name in PLOTS}


def test_the_report_states_the_figures_beside_the_books(
    report: str, records: dict[str, TrainingRecord]
) -> None:
    for name, record in records.items():
        row = re.search(rf"<tr><td>{name}, here</td>.*?</tr>", report)
        assert row
        for figure in (*vars(record.last).values(), record.test_loss, record.test_mae):
            assert f">{figure:.4f}<" in row[0]
    assert ">0.1524<" in report
    assert ">0.0115<" in report


def test_the_report_states_sizes_pins_arena_and_graph(
    report: str, files: Files, pins: Pins
) -> None:
    text = unescape(re.sub(r"<[^>]*>", " ", re.sub(r'src="[^"]*"', "", report)))
    for step, name in (
        ("convert sine", "sine_float"),
        ("convert sine", "sine_int8"),
        ("dynamic sine", "sine_dynamic"),
    ):
        size = len(files[step, f"{name}.tflite"])
        assert re.search(rf"{name}\.tflite\s+{size:,}\s", text)
    for package in ("tensorflow-cpu", "matplotlib", "tflite-micro", "ai-edge-litert"):
        assert re.search(rf"{package}\s+{re.escape(pins.train.requirements[package])}\s", text)
    assert pins.tflm.commit in text
    for model in ("sine_int8", "sine_float"):
        arena = json.loads(files[f"embed {model}", "model.json"])["arena_bytes"]
        assert re.search(rf"{model}\s+{arena:,}\s", text)
    assert "FULLY_CONNECTED + ReLU" in text
    assert "StatefulPartitionedCall_1:0" in text


@needs_browser
@pytest.mark.parametrize("width", [1200, 400])
def test_a_browser_shows_the_report_without_sideways_scrolling(
    report: str, tmp_path: Path, width: int
) -> None:
    measure = (
        "<script>addEventListener('load', () => { document.title = JSON.stringify({"
        "page: document.documentElement.scrollWidth, window: innerWidth,"
        "pictures: [...document.images].map(each => each.naturalWidth * (each.width > 200))"
        "}); });</script></head>"
    )
    page = tmp_path / "report.html"
    page.write_text(report.replace("</head>", measure, 1), encoding="utf-8")
    # A window of Chromium's is at least 500 pixels wide, a frame in it is not.
    frame = tmp_path / "frame.html"
    frame.write_text(
        f'<iframe id="f" src="report.html" style="width:{width}px;height:900px;border:0"></iframe>'
        "<script>onload = () => setTimeout(() => {"
        "document.title = f.contentDocument.title }, 500);</script>"
    )
    done = subprocess.run(
        [
            *(str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu"),
            *("--allow-file-access-from-files", "--virtual-time-budget=8000"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1000"),
            *("--dump-dom", frame.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title, done.stdout[:400]
    found = json.loads(unescape(title[1]))
    assert found["window"] == width
    assert found["page"] <= width
    assert found["pictures"] == [1080] * len(PLOTS)


def test_the_steps_of_the_story_leave_nothing_unused(steps: Mapping[str, Step]) -> None:
    used = {
        (source.step, source.path)
        for step in steps.values()
        for source in step.inputs.values()
        if isinstance(source, OutputOf)
    }
    drawn = {("plot sine", PurePosixPath(f"{name}.png")) for name in PLOTS}
    assert drawn <= used
