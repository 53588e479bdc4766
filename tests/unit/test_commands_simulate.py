"""Simulating firmwares that were built: reports, pictures, and what stays when a run fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.unit import simulator_support as chip
from tests.unit.commands_support import (
    EDGE,
    INT8,
    INT8_PAIRS,
    application,
    copy_project,
    firmware_contents,
    float_line,
    hello_world,
    know,
    session_in,
    steps_of,
    x_value_line,
)
from tests.unit.image_support import with_record
from toolchain.building.built import BuiltFirmware
from toolchain.commands.build import build
from toolchain.commands.simulate import simulate_all
from toolchain.digest import Digest
from toolchain.errors import SimulationFaultError, SimulationIncompleteError, UsageError
from toolchain.reference.documents import document_schema
from toolchain.render.simulation import simulation_summary
from toolchain.session import Session

COUNT_FOR_EVER = (0x3001, 0xE7FD)  # adds r0, #1; b to it


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
    with session_in(copy_project(tmp_path)) as session:
        yield session


def built(session: Session, image: bytes) -> BuiltFirmware:
    know(session, steps_of(session), firmware_contents(image))
    (firmware,) = build(session, [EDGE], INT8, "release")
    return firmware


def test_a_run_is_written_down_and_drawn_and_is_the_same_again(session: Session) -> None:
    firmware = built(session, hello_world())
    (run,) = simulate_all([firmware], 45)
    assert run.report == firmware.folder / "simulation.json"
    assert run.picture == firmware.folder / "simulation.png"
    written = (run.report.read_bytes(), run.picture.read_bytes())
    report = json.loads(written[0])
    assert report == json.loads(json.dumps(run.as_json()))
    assert report["schema"] == "tinyml-toolchain/simulation/1"
    assert report["image_sha256"] == Digest.of_file(firmware.image).sha256
    assert report["console"].startswith("hello_world: a tiny one\nx_value: ")
    period = list(INT8_PAIRS)[::13][:20]
    assert [each["raw_in"] for each in report["inferences"]] == (3 * period)[:45]
    simulate_all([firmware], 45)
    assert (run.report.read_bytes(), run.picture.read_bytes()) == written


def test_a_number_that_is_not_finite_is_null_in_the_report(session: Session) -> None:
    lines = [float_line(0x3F80_0000, bits) for bits in (0x7FC0_0000, 0x7F80_0000, 0x3F00_0000)]
    (run,) = simulate_all([built(session, application(lines))], 3)
    text = run.report.read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    report = json.loads(text)
    assert [each["y"] for each in report["inferences"]] == [None, None, 0.5]
    document = {"schema": "tinyml-toolchain/simulations/1", "simulations": [report]}
    Draft202012Validator(dict(document_schema("simulations"))).validate(document)


def test_one_inference_cannot_be_drawn_and_an_older_picture_goes(session: Session) -> None:
    firmware = built(session, hello_world())
    simulate_all([firmware], 2)
    assert (firmware.folder / "simulation.png").exists()
    (run,) = simulate_all([firmware], 1)
    assert run.picture is None
    assert not (firmware.folder / "simulation.png").exists()
    summary = simulation_summary(run, 5)
    assert "console, 2 of 2 lines:" in summary
    assert "\n1 inference, " in summary
    assert "brightness" not in summary
    assert "picture" not in summary


def test_a_run_without_any_inference_cannot_be_asked_for(session: Session) -> None:
    firmware = built(session, hello_world())
    with pytest.raises(UsageError, match="0 inferences"):
        simulate_all([firmware], 0)


def no_report(firmware: BuiltFirmware) -> bool:
    names = ("simulation.json", "simulation.png")
    return not any((firmware.folder / name).exists() for name in names)


@pytest.mark.parametrize(
    "image",
    [
        application([x_value_line(0, 0)], times=3),
        with_record(EDGE, chip.firmware(chip.Poke(chip.UART0, 1)).image),
    ],
)
def test_a_firmware_that_halts_or_breaks_a_rule_leaves_no_report(
    session: Session, image: bytes
) -> None:
    firmware = built(session, image)
    with pytest.raises(SimulationFaultError):
        simulate_all([firmware], 4)
    assert no_report(firmware)


def test_a_firmware_that_never_comes_to_its_end_is_given_up(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolchain.commands.simulate.BUDGET_OF_START", 100_000)
    monkeypatch.setattr("toolchain.commands.simulate.BUDGET_PER_INFERENCE", 1)
    image = chip.firmware(chip.CONSOLE, chip.Raw(COUNT_FOR_EVER)).image
    firmware = built(session, with_record(EDGE, image))
    with pytest.raises(SimulationIncompleteError, match="without 4 lines with a result"):
        simulate_all([firmware], 4)
    assert no_report(firmware)
