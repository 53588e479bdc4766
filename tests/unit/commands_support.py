"""What the tests of ``toolchain.commands`` share: a checkout whose every step is known.

The steps' outputs are put into the action cache, so that the commands run as they do when nothing
has to be done: with the real runner, store and simulator, and without an engine.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tests.unit import simulator_support as chip
from tests.unit.actions_support import RecordingReporter
from tests.unit.flashing_support import hex_file
from tests.unit.image_support import with_record
from toolchain.actions import OutputOf, Step
from toolchain.actions.action import prepare_action
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.graph import order
from toolchain.boards import Board, find_board
from toolchain.digest import Digest
from toolchain.layout import Layout
from toolchain.models import BUILD_TYPES, MODELS, Application, BuildType, Model
from toolchain.session import Session, open_session
from toolchain.verification.sine import REFERENCE_SCHEMA, bits_of_float, float_of_bits

PROJECT = Path(__file__).resolve().parents[2]
EDGE = find_board(PROJECT / "boards", "sparkfun_edge")
INT8, FLOAT = MODELS["sine_int8"], MODELS["sine_float"]

SCALE = 2 * math.pi / 255
OUTPUT_SCALE = 1 / 127
INT8_PAIRS = {raw: round(math.sin((raw + 128) * SCALE) * 127) for raw in range(-128, 128)}
FLOAT_PAIRS = {
    x: bits_of_float(math.sin(float_of_bits(x)))
    for x in (bits_of_float(index * math.tau / 50) for index in range(50))
}


def copy_project(folder: Path) -> Layout:
    """Return a checkout of what steps are made of, without outputs, and an empty cache."""
    project = folder / "a checkout"
    for name in ("boards", "tflm", "model", "docker"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__py*"))
    shutil.copy(PROJECT / "pins.toml", project)
    return Layout(project, folder / "cache")


@contextmanager
def session_in(layout: Layout) -> Iterator[Session]:
    with open_session(RecordingReporter(), layout=layout) as session:
        yield session


def elf_of(image: bytes) -> bytes:
    """Return an executable for Arm that loads ``image`` and nothing else."""
    load = EDGE.application.load_address
    (entry,) = struct.unpack_from("<I", image, 4)
    identity = b"\x7fELF\x01\x01\x01" + bytes(9)
    header = struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, entry, 52, 0, 0x0500_0400, 52, 32, 1, 40, 0, 0)
    segment = struct.pack("<8I", 1, 84, load, load, len(image), len(image), 5, 4)
    return identity + header + segment + image


def x_value_line(raw_in: int, raw_out: int) -> str:
    x, y = (raw_in + 128) * SCALE, raw_out * OUTPUT_SCALE
    return f"x_value: x, y_value: y raw: in={raw_in} out={raw_out} {_bits(x)} {_bits(y, 'y')}\r\n"


def float_line(x: int, y: int) -> str:
    return f"x_value: x, y_value: y raw: x=0x{x:08x} y=0x{y:08x}\r\n"


def _bits(value: float, name: str = "x") -> str:
    return f"{name}=0x{bits_of_float(value):08x}"


def application(lines: Sequence[str], *, times: int = 1) -> bytes:
    """Return the image of a firmware that prints a banner, and ``lines`` again and again."""
    function: list[chip.Operation] = [chip.Say(line) for line in lines]
    function.append(chip.Raw((chip.BX_LR,)))
    calls = (chip.Call(chip.FUNCTIONS),) * times
    banner = chip.Say("hello_world: a tiny one\r\n")
    # As real firmwares do first; without the FPU every instruction is looked at.
    image = chip.firmware(*chip.FPU, *chip.CONSOLE, banner, *calls, functions=function).image
    return with_record(EDGE, image)


def hello_world(pairs: Mapping[int, int] = INT8_PAIRS) -> bytes:
    """Return an application that goes through twenty inputs of an int8 model, fifty times."""
    chosen = list(pairs.items())[::13][:20]
    return application([x_value_line(*pair) for pair in chosen], times=1000 // len(chosen))


def hello_world_test(
    pairs: Mapping[int, int] = INT8_PAIRS, last: str = "~~~ALL TESTS PASSED~~~"
) -> bytes:
    lines = [f"test: in={raw_in} out={raw_out}\r\n" for raw_in, raw_out in pairs.items()]
    return application([*lines, f"{last}\r\n"])


def reference_json(model: Model = INT8, pairs: Mapping[int, int] | None = None) -> bytes:
    int8 = model == INT8
    known = pairs or (INT8_PAIRS if int8 else FLOAT_PAIRS)
    values = [list(known), list(known.values())]
    written = values if int8 else [[f"0x{bits:08x}" for bits in row] for row in values]
    document = {
        "schema": REFERENCE_SCHEMA,
        "model": model.name,
        "type": "int8" if int8 else "float",
        "model_sha256": "0" * 64,
        "input_scale": SCALE if int8 else None,
        "input_zero_point": -128 if int8 else None,
        "output_scale": OUTPUT_SCALE if int8 else None,
        "output_zero_point": 0 if int8 else None,
        "judge": "a judge 1.0",
        "inputs": written[0],
        "tflm": written[1],
        "litert": written[1],
    }
    return json.dumps(document).encode()


Contents = Mapping[tuple[str, str], bytes]
"""Outputs by the step's name and the path; whatever is not there gets some text."""


def firmware_contents(
    image: bytes, application: Application = "hello_world", model: Model = INT8
) -> dict[tuple[str, str], bytes]:
    """Return the outputs of all steps that link ``application`` as ``image``."""
    contents = {}
    for build_type in BUILD_TYPES:
        name = f"firmware {application} {EDGE.name} {model.name} {build_type}"
        contents[name, f"bin/{application}"] = elf_of(image)
        contents[name, f"bin/{application}.bin"] = image
        contents[name, f"bin/{application}.hex"] = hex_file(image, EDGE.application.load_address)
    return contents


def steps_of(
    session: Session,
    models: Iterable[Model] = (INT8,),
    *,
    tests: bool = False,
    board: Board = EDGE,
    build_type: BuildType = "release",
) -> list[Step]:
    return session.pipeline.firmware_steps([board], models, build_type, tests=tests)


def know(session: Session, steps: Sequence[Step], contents: Contents) -> None:
    """Fill the action cache of ``session`` with results of ``steps``."""
    store = session.runner.store
    cache = ActionCache(session.layout.actions, store, session.reporter.warning)
    by_name = {step.name: step for step in steps}
    known: dict[OutputOf, Digest] = {}
    for name in order(steps).static_order():
        step = by_name[name]
        outputs: dict[PurePosixPath, Digest] = {}
        for path in step.outputs:
            data = contents.get((name, str(path)), f"{name} {path}".encode())
            outputs[path] = known[OutputOf(name, path)] = store.put_bytes(data)
        action = prepare_action(step, {key: known[key] for key in _needs(step)})
        cache.put(action.digest, ActionResult(outputs, 1.0))


def _needs(step: Step) -> list[OutputOf]:
    return [source for source in step.inputs.values() if isinstance(source, OutputOf)]
