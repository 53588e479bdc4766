"""Models that the project does not know, from the file to the simulated board."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from model.graph import read_graph
from simulator import SimulationRequest, simulate
from tests.containers.example_models import Recording, example_models, example_recordings
from tests.unit import model_support as fb
from tests.unit.commands_support import copy_project
from tests.unit.model_support import changed
from toolchain.boards import Board, find_targets
from toolchain.building.firmware_run import run_firmware_steps
from toolchain.commands.build import build
from toolchain.commands.simulate import simulate_all
from toolchain.commands.verify import verify
from toolchain.commands.verify_cases import VerifiedCases
from toolchain.console import PlainReporter
from toolchain.engine import Engine
from toolchain.errors import (
    FirmwareDoesNotFitError,
    SimulationIncompleteError,
    UnsupportedModelError,
    UnusableDataError,
    UsageError,
    VerificationError,
)
from toolchain.firmware.elf import symbol_address
from toolchain.layout import Layout
from toolchain.model_choice import chosen_model
from toolchain.models import Model
from toolchain.pipeline import firmware_name
from toolchain.reference.documents import document_schema
from toolchain.session import Session, open_session
from toolchain.verification.cases import (
    compare_cases,
    read_case_reference,
    require_cases_passed,
)

BOARDS = ("sparkfun_edge", "arduino_nano_33_ble", "stm32f746g_disco")
SHAPES = {
    "magic_wand": (128, 3, 1),
    "micro_speech": (49, 40, 1),
    "person_detection_grayscale": (96, 96, 1),
}


@pytest.fixture(scope="module")
def session(
    layout: Layout, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Session]:
    project = copy_project(tmp_path_factory.mktemp("given")).project
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.address.url)
        with open_session(PlainReporter(), layout=Layout(project, layout.cache)) as session:
            yield session


@pytest.fixture(scope="module")
def files(tflm_crate: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the example models and, as ``<name>.npy``, their recordings."""
    folder = tmp_path_factory.mktemp("models")
    for name, tflite in example_models(tflm_crate).items():
        (folder / f"{name}.tflite").write_bytes(tflite)
    for name, recordings in example_recordings(tflm_crate).items():
        dtype = np.float32 if name == "magic_wand" else np.uint8
        rows = [np.frombuffer(each.data, dtype).reshape(SHAPES[name]) for each in recordings]
        np.save(folder / f"{name}.npy", np.stack(rows))
    return folder


@pytest.fixture(scope="module")
def recordings(tflm_crate: Path) -> Mapping[str, tuple[Recording, ...]]:
    return example_recordings(tflm_crate)


def given(files: Path, name: str) -> Model:
    inputs = files / f"{name}.npy"
    return chosen_model(str(files / f"{name}.tflite"), "", str(inputs) if inputs.exists() else "")


def board_of(session: Session, name: str) -> Board:
    (board,) = find_targets(session.layout.boards, name)
    return board


def verified(session: Session, board: str, model: Model) -> VerifiedCases:
    (found,) = verify(session, [board_of(session, board)], [model], "release")
    assert isinstance(found, VerifiedCases)
    return found


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("name", ["hello_world", "magic_wand", "micro_speech"])
def test_an_example_model_computes_the_same_on_every_board(
    session: Session,
    files: Path,
    recordings: Mapping[str, tuple[Recording, ...]],
    name: str,
    board: str,
) -> None:
    found = verified(session, board, given(files, name))
    assert found.passed
    cases = found.comparison.firmware
    assert cases.equal == cases.cases == len(recordings.get(name, range(64)))
    assert all(each > 1000 for each in found.instructions)
    assert json.loads(found.report.read_bytes())["passed"]
    document = json.loads(json.dumps({"verifications": [found.as_json()]}))
    schema = document_schema("verifications")
    Draft202012Validator(schema).validate(
        {"schema": "tinyml-toolchain/verifications/1", **document}
    )
    if name in recordings:
        assert classes(found) == [each.expected for each in recordings[name]]


def test_the_largest_example_recognises_a_person(
    session: Session, files: Path, recordings: Mapping[str, tuple[Recording, ...]]
) -> None:
    name = "person_detection_grayscale"
    found = verified(session, "stm32f746g_disco", given(files, name))
    assert classes(found) == [each.expected for each in recordings[name]]


def classes(found: VerifiedCases) -> list[int]:
    """Return the place of the largest output of each case, as the firmware printed it."""
    numbers = "4f" if found.firmware.model.name == "magic_wand" else None
    outputs = [case.outputs[0] for case in found.cases]
    rows = [struct.unpack(numbers, each) if numbers else tuple(each) for each in outputs]
    return [row.index(max(row)) for row in rows]


@pytest.mark.parametrize("board", ["sparkfun_edge", "stm32f746g_disco"])
def test_the_arena_is_the_smallest_that_works(session: Session, files: Path, board: str) -> None:
    chosen, model = board_of(session, board), given(files, "hello_world")
    (firmware,) = build(session, [chosen], model, "release")
    arena = firmware.arena
    assert arena is not None
    assert arena.margin_bytes == 0
    assert arena.used_bytes <= arena.smallest_bytes == arena.size_bytes
    assert {arena.smallest_bytes, arena.smallest_bytes - 16} <= set(arena.tried)
    assert json.loads((firmware.folder / "arena.json").read_bytes())["margin_bytes"] == 0
    # Linked with a granule less, and not only told so.
    smaller = {(chosen.name, model.name): arena.smallest_bytes - 16}
    results = run_firmware_steps(session, [chosen], [model], "release", arenas=smaller)
    outputs = results[firmware_name("model_runner", chosen, model, "release")].outputs
    (image,) = (digest for path, digest in outputs.items() if path.suffix == ".bin")
    request = SimulationRequest(
        board=chosen, image=session.runner.store.get(image), until_text="cases="
    )
    with pytest.raises(SimulationIncompleteError, match="tensors cannot be allocated"):
        simulate(request)


def test_a_larger_arena_is_taken_and_a_smaller_one_refused(session: Session, files: Path) -> None:
    board, model = board_of(session, "sparkfun_edge"), given(files, "hello_world")
    (firmware,) = build(session, [board], model, "release", 5000)
    assert firmware.arena is not None
    assert firmware.arena.size_bytes == 5008
    assert firmware.arena.margin_bytes == 5008 - firmware.arena.smallest_bytes
    (run,) = simulate_all([firmware], 1)
    assert f"/{firmware.arena.size_bytes} cases=" in run.result.console
    with pytest.raises(UsageError, match="too small for hello_world on SparkFun Edge"):
        build(session, [board], model, "release", firmware.arena.smallest_bytes - 16)


def test_a_firmware_with_another_weight_is_caught(session: Session, files: Path) -> None:
    board, model = board_of(session, "sparkfun_edge"), given(files, "hello_world")
    found = verified(session, "sparkfun_edge", model)
    firmware = found.firmware
    image = bytearray(firmware.image.read_bytes())
    address = symbol_address(firmware.elf.read_bytes(), "g_model")
    assert address is not None
    tflite = (files / "hello_world.tflite").read_bytes()
    start = address - board.application.load_address
    assert image[start : start + len(tflite)] == tflite
    # The largest constant is the hidden layer's weights: 16 x 16 bytes.
    weights = max(read_graph(tflite).tensors, key=lambda each: len(each.data.data)).data
    image[start + weights.position + 100] ^= 0x40
    request = SimulationRequest(board=board, image=bytes(image), inferences=len(found.cases))
    cases = simulate(request).cases
    assert any(not case.equal for case in cases)
    folder = session.layout.build / "model" / "hello_world"
    reference = read_case_reference(folder / "reference.json")
    comparison = compare_cases(reference, [case.outputs for case in cases])
    with pytest.raises(VerificationError, match=r"largest difference is in case \d+, output"):
        require_cases_passed(comparison)


def test_a_model_that_no_flash_holds_says_how_many_bytes_are_missing(
    session: Session, tmp_path: Path
) -> None:
    wide(tmp_path / "large.tflite", 1000, 1000)
    board = board_of(session, "sparkfun_edge")
    with pytest.raises(FirmwareDoesNotFitError, match=r"lacks [\d,]+ bytes of flash"):
        build(session, [board], chosen_model(str(tmp_path / "large.tflite")), "release")
    assert not (session.layout.build / board.name / "large").exists()


def test_a_model_that_no_ram_holds_says_how_many_bytes_are_missing(
    session: Session, tmp_path: Path
) -> None:
    wide(tmp_path / "broad.tflite", 300_000, 1)
    board = board_of(session, "stm32f746g_disco")
    with pytest.raises(FirmwareDoesNotFitError) as caught:
        build(session, [board], chosen_model(str(tmp_path / "broad.tflite")), "release")
    assert "lacks RAM for the tensor arena of broad" in caught.value.what
    assert "bytes are missing" in caught.value.what
    assert not (session.layout.build / board.name / "broad").exists()


def wide(path: Path, inputs: int, outputs: int) -> None:
    """Write a model of one dense int8 layer, with as many weights as both numbers multiply to."""
    dense = fb.int8_dense()
    model = changed(dense, 0, shape=(1, inputs))
    model = changed(model, 1, shape=(outputs, inputs), data=bytes(inputs * outputs))
    model = changed(model, 2, shape=(outputs,), data=bytes(4 * outputs))
    path.write_bytes(changed(model, 3, shape=(1, outputs)).tflite())


def test_what_cannot_be_used_is_refused_before_anything_is_built(
    session: Session, files: Path, tmp_path: Path
) -> None:
    board = board_of(session, "sparkfun_edge")
    (tmp_path / "torn.tflite").write_bytes((files / "micro_speech.tflite").read_bytes()[:5000])
    with pytest.raises(UnsupportedModelError, match="not a readable TensorFlow Lite file"):
        build(session, [board], chosen_model(str(tmp_path / "torn.tflite")), "release")
    np.save(tmp_path / "wrong.npy", np.zeros((3, 7), np.uint8))
    model = chosen_model(str(files / "micro_speech.tflite"), "", str(tmp_path / "wrong.npy"))
    with pytest.raises(UnusableDataError, match=r"shape \(3, 7\) for the model's input"):
        build(session, [board], model, "release")
