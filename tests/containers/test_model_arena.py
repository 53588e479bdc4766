"""The estimated arena against what the simulated firmware says that it used."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from model.arena import BLOCK, estimate_arena, place_buffers, planned_buffers
from model.graph import read_graph
from simulator import SimulationRequest, SimulationResult, simulate
from simulator.console import parse_test_cases
from tests.conftest import BuiltFirmware
from tests.containers.model_bench import ModelBench
from tests.unit import model_support as fb
from toolchain.boards import Board
from toolchain.models import MODELS, Model
from toolchain.verification.sine import compare, read_reference

BANNER = re.compile(r"^hello_world\w*: .* arena=(\d+)/(\d+)$", re.MULTILINE)


def arena(result: SimulationResult) -> tuple[int, int]:
    """Return bytes used and bytes there."""
    match = BANNER.search(result.console.replace("\r", ""))
    assert match, result.console
    return int(match[1]), int(match[2])


@pytest.mark.parametrize("name", MODELS)
def test_the_sine_models_fit_their_arena(
    build_firmware: Callable[[Model], BuiltFirmware],
    bench: ModelBench,
    board: Board,
    name: str,
) -> None:
    image = build_firmware(MODELS[name]).hello_world.bin.read_bytes()
    used, size = arena(simulate(SimulationRequest(board=board, image=image, inferences=1)))
    assert size == estimate_arena(read_graph(bench.sine()[f"{name}.tflite"]))
    assert used <= size < used + 2 * BLOCK


@pytest.mark.parametrize("name", ["convolutions", "residual"])
def test_other_models_fit_and_compute_what_the_reference_says(
    bench: ModelBench, board: Board, tmp_path: Path, name: str
) -> None:
    tflite = bench.foreign()[name]
    result = bench.test_run(board, tflite)
    used, size = arena(result)
    assert size == estimate_arena(read_graph(tflite))
    assert used <= size < used + 2 * BLOCK
    (reference,) = bench.known(bench.reference(tflite)).values()
    path = tmp_path / "reference.json"
    path.write_bytes(reference["reference.json"])
    cases = {case.input: case.output for case in parse_test_cases(result.console)}
    comparison = compare(read_reference(path), cases)
    assert comparison.cases == (256 if name == "convolutions" else 1000)
    assert comparison.largest_difference <= comparison.allowed_difference


def dense_chain(widths: Sequence[int]) -> fb.Model:
    """Dense layers from one number to one number, as wide in between as these."""
    tensors, operators, previous = [fb.Tensor("x")], [], 0
    for number, (columns, rows) in enumerate(zip((1, *widths), (*widths, 1), strict=True)):
        count = len(tensors)
        weights = fb.floats(*([0.01] * (rows * columns)))
        tensors += [
            fb.Tensor(f"kernel {number}", shape=(rows, columns), data=weights),
            fb.Tensor(f"bias {number}", shape=(rows,), data=fb.floats(*([0.1] * rows))),
            fb.Tensor(f"result {number}", shape=(1, rows)),
        ]
        inputs = (previous, count, count + 1)
        operators.append(fb.Operator(fb.FULLY_CONNECTED, inputs, (count + 2,), options=fb.Table()))
        previous = count + 2
    return fb.Model(tensors, operators, (0,), (previous,))


def placed(model: fb.Model) -> int:
    buffers = planned_buffers(read_graph(model.tflite()))
    return max(at + each.size for at, each in zip(place_buffers(buffers), buffers, strict=True))


def test_tensors_are_placed_as_the_pinned_planner_places_them(
    bench: ModelBench, board: Board
) -> None:
    # Alike but for their widths, so that all else that the interpreter keeps is the same. The
    # second one has a gap that the planner leaves.
    models = [dense_chain(widths) for widths in ((4, 4, 4, 4), (59, 59, 42, 46), (8, 60, 20, 60))]
    used = [arena(bench.test_run(board, each.tflite(), 8192))[0] for each in models]
    kept = {one - placed(model) for one, model in zip(used, models, strict=True)}
    assert len(kept) == 1
    assert len({placed(model) for model in models}) == 3
    for one, model in zip(used, models, strict=True):
        assert one <= estimate_arena(read_graph(model.tflite()))
