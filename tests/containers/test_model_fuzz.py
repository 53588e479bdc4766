"""The verifier against mutants, and those that it accepts against the sanitized interpreter.

``python -m tests.fuzz`` runs the same for as long as one likes.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from model.errors import UnsupportedModelError
from model.graph import read_graph
from model.support import require_support
from tests.conftest import RunInImage, RunSteps
from tests.containers.example_models import example_models
from tests.containers.host_bench import batch
from tests.containers.model_bench import ModelBench
from tests.fuzz import COUNT_VARIABLE, FIRST_VARIABLE, KEEP_VARIABLE, SEED_VARIABLE
from tests.fuzz.campaign import Findings, Runner, run_campaign
from toolchain.layout import Layout
from toolchain.pipeline.host_build import HOST_RUNNER, host_library, host_runner

LARGEST_SEED = 30_000
"""Bytes; a larger model is checked, and takes too long to be changed over and over."""

REFUSED = {"per_channel", "hybrid", "open_batch", "lstm", "elu", "without_bias"}
"""Of the models of other makers; test_model_conversion.py says why."""

_RUN = (
    "install -m 0755 run_model /tmp/run_model; "
    "/tmp/run_model --batch --isolate < models > /out/lines"
)


@pytest.fixture
def runner(
    layout: Layout, host_image: str, run_steps: RunSteps, run_in_image: RunInImage
) -> Runner:
    steps = [make(layout, host_image, sanitized=True) for make in (host_library, host_runner)]
    made, results = run_steps(steps)
    program = made.store.get(results[steps[-1].name].outputs[HOST_RUNNER])

    def run(models: Sequence[bytes]) -> list[str]:
        files = {"run_model": program, "models": batch(models)}
        (lines,) = run_in_image(host_image, ("sh", "-euc", _RUN), files, ["lines"]).values()
        return lines.decode().splitlines()

    return run


@pytest.fixture
def models(bench: ModelBench, tflm_crate: Path) -> dict[str, bytes]:
    """Models as converters write them: today's, and that of the time of the pinned tree."""
    (made,) = bench.known(bench.script("model_seeds", ["/out"], ["seeds.tar"])).values()
    with tarfile.open(fileobj=io.BytesIO(made["seeds.tar"])) as archive:
        files = {entry.name: archive.extractfile(entry) for entry in archive}
        seeds = {name: file.read() for name, file in files.items() if file is not None}
    return {**seeds, **bench.foreign(), **example_models(tflm_crate)}


def test_what_converters_write_is_accepted_and_runs(
    models: Mapping[str, bytes], runner: Runner
) -> None:
    working = {name: data for name, data in models.items() if name not in REFUSED}
    assert len(working) > 40
    for data in working.values():
        require_support(read_graph(data))
    lines = runner(list(working.values()))
    assert {name: line.split()[0] for name, line in zip(working, lines, strict=True)} == (
        dict.fromkeys(working, "ok")
    )
    for name in REFUSED:
        with pytest.raises(UnsupportedModelError):
            require_support(read_graph(models[name]))


def test_nothing_gets_past_the_verifier_that_the_interpreter_cannot_compute(
    models: Mapping[str, bytes], runner: Runner
) -> None:
    count = int(os.environ.get(COUNT_VARIABLE, "3000"))
    seed = int(os.environ.get(SEED_VARIABLE, "20"))
    first = int(os.environ.get(FIRST_VARIABLE, "0"))
    small = {name: data for name, data in models.items() if len(data) <= LARGEST_SEED}
    findings = run_campaign(small, seed, range(first, first + count), runner)
    report = findings.report()
    if COUNT_VARIABLE in os.environ:
        print(report)
        keep(findings, Path(os.environ[KEEP_VARIABLE]))
    assert not findings.failures, report
    assert findings.mutants == count
    # Else the run would say little.
    assert findings.ran > count / 5, report
    assert findings.refused.total() > count / 3, report
    assert not findings.refused_later, report


def keep(findings: Findings, folder: Path) -> None:
    for failure in findings.failures:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{failure.number}.tflite").write_bytes(failure.data)
