"""A board that nobody has heard of needs one new folder, and no edit elsewhere."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.commands_support import copy_project
from toolchain.boards import Board, board_names, find_targets
from toolchain.building.built import BuiltFirmware
from toolchain.commands.build import build
from toolchain.commands.flash import FlashRequest, plan, prepare
from toolchain.commands.simulate import SimulatedRun, simulate_all
from toolchain.commands.verify import VerifiedFirmware, verify
from toolchain.console import PlainReporter
from toolchain.engine import Engine
from toolchain.firmware.formats import file_name, find_format
from toolchain.firmware.image import read_record
from toolchain.flashing.host import this_host
from toolchain.layout import Layout
from toolchain.models import MODELS
from toolchain.session import Session, open_session

NAME = "moon_lamp"
LOAD_ADDRESS = 0x1_4000

# Edits of the SparkFun Edge's files: another place in flash, other pads, two LEDs instead of four.
DESCRIPTION = [
    ('title = "SparkFun Edge"', 'title = "Moon Lamp"'),
    ("aliases = []", 'aliases = ["lamp"]'),
    ("load_address = 0x0000_C000", "load_address = 0x0001_4000"),
    ("max_length = 0x000F_0000", "max_length = 0x000E_A000"),
    ("initial_stack_pointer = 0x1005_FFF8", "initial_stack_pointer = 0x1004_0000"),
    ("stack_size = 0x2000", "stack_size = 0x1000"),
    ('tx_pin = "48"', 'tx_pin = "22"'),
    ('rx_pin = "49"', 'rx_pin = "23"'),
]
LEDS = """\
[[led]]
name = "moonlight"
pin = "45"
active = "high"
pwm = "CTIMER B5 on CT22"

[[led]]
name = "glow"
pin = "47"
active = "high"
pwm = "CTIMER B6 on CT26"

"""
BOARD_CC = [
    ("using Tx = gpio::Pad<48>;", "using Tx = gpio::Pad<22>;"),
    ("using Rx = gpio::Pad<49>;", "using Rx = gpio::Pad<23>;"),
    ("using RedLed = PwmLed<46, 2, 24, 2, ctimer::Timer<6, Half::kA>>;\n", ""),
    ("using BlueLed = PwmLed<37, 7, 29, 4, ctimer::Timer<7, Half::kA>>;\n", ""),
    (
        "using GreenLed = PwmLed<44, 2, 20, 2, ctimer::Timer<5, Half::kA>>;",
        "using MoonlightLed = PwmLed<45, 2, 22, 2, ctimer::Timer<5, Half::kB>>;",
    ),
    ("using YellowLed", "using GlowLed"),
    ("  RedLed::Start();\n  BlueLed::Start();\n  GreenLed::Start();\n  YellowLed::Start();\n",
     "  MoonlightLed::Start();\n  GlowLed::Start();\n"),
    ("    case kRedLed:\n      return RedLed::Set(on);\n", ""),
    ("    case kBlueLed:\n      return BlueLed::Set(on);\n", ""),
    ("case kGreenLed:\n      return GreenLed", "case kMoonlightLed:\n      return MoonlightLed"),
    ("case kYellowLed:\n      return YellowLed", "case kGlowLed:\n      return GlowLed"),
]  # fmt: skip
LEDS_H = [("kRedLed, kBlueLed, kGreenLed, kYellowLed", "kMoonlightLed, kGlowLed")]
OUTPUT_HANDLER = f"""\
#include "tflm/hello_world/output_handler.h"

#include "boards/common/board.h"
#include "boards/{NAME}/leds.h"

void HandleOutput(const Inference& inference) {{
  BoardSetLed(kMoonlightLed, inference.y);
  BoardSetLed(kGlowLed, -inference.y);
  PrintInference(inference);
}}
"""
CONSTANTS = '#include "tflm/hello_world/constants.h"\n\nconst int kInferencesPerCycle = 250;\n'


def edited(path: Path, edits: list[tuple[str, str]]) -> str:
    text = path.read_text().replace("sparkfun_edge", NAME).replace("SPARKFUN_EDGE", NAME.upper())
    for old, new in edits:
        assert text.count(old) == 1, f"{path.name}: {old}"
        text = text.replace(old, new)
    return text


def add_board(boards: Path) -> None:
    edge, folder = boards / "sparkfun_edge", boards / NAME
    folder.mkdir()
    description = edited(edge / "board.toml", DESCRIPTION)
    first, package = description.index("[[led]]"), description.index("[package]")
    (folder / "board.toml").write_text(description[:first] + LEDS + description[package:])
    (folder / "board.cc").write_text(edited(edge / "board.cc", BOARD_CC))
    (folder / "registers.h").write_text(edited(edge / "registers.h", []))
    (folder / "leds.h").write_text(edited(edge / "leds.h", LEDS_H))
    (folder / "output_handler.cc").write_text(OUTPUT_HANDLER)
    (folder / "constants.cc").write_text(CONSTANTS)


def contents(project: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(project)): path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and path.relative_to(project).parts[0] != "build"
    }


@dataclass(frozen=True)
class Checkout:
    """A project with the new board, and the files that were there before it."""

    layout: Layout
    before: dict[str, bytes]


@pytest.fixture(scope="module")
def checkout(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    project = copy_project(tmp_path_factory.mktemp("fourth")).project
    # Alone with the Edge, so that nothing can come from a board that is no example here.
    for name in board_names(project / "boards"):
        if name != "sparkfun_edge":
            shutil.rmtree(project / "boards" / name)
    before = contents(project)
    add_board(project / "boards")
    return Checkout(Layout(project=project, cache=layout.cache), before)


@pytest.fixture(scope="module")
def session(checkout: Checkout, engine: Engine) -> Iterator[Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.address.url)
        with open_session(PlainReporter(), layout=checkout.layout) as session:
            yield session


@pytest.fixture(scope="module")
def board(checkout: Checkout) -> Board:
    (board,) = find_targets(checkout.layout.boards, "lamp")
    return board


@pytest.fixture(scope="module")
def firmware(session: Session, board: Board) -> BuiltFirmware:
    (firmware,) = build(session, [board], MODELS["sine_int8"], "release")
    return firmware


@pytest.fixture(scope="module")
def verified(session: Session, board: Board, firmware: BuiltFirmware) -> VerifiedFirmware:
    (verified,) = verify(session, [board], [MODELS["sine_int8"]], "release")
    assert isinstance(verified, VerifiedFirmware)
    assert verified.firmware.folder == firmware.folder
    return verified


@pytest.fixture(scope="module")
def run(firmware: BuiltFirmware, verified: VerifiedFirmware) -> SimulatedRun:
    assert verified.passed
    (run,) = simulate_all([firmware], 500)
    return run


def test_its_firmware_is_built_for_its_own_memory_map(
    firmware: BuiltFirmware, board: Board
) -> None:
    image = firmware.image.read_bytes()
    assert int.from_bytes(image[:4], "little") == 0x1004_0000
    assert LOAD_ADDRESS < int.from_bytes(image[4:8], "little") < LOAD_ADDRESS + len(image)
    record = read_record(image, LOAD_ADDRESS)
    assert record is not None
    assert (record.board, record.length) == (NAME, len(image))
    assert firmware.size.flash_available == 0xE_A000
    assert board.application.load_address == LOAD_ADDRESS


def test_all_files_for_flashing_are_its_own(firmware: BuiltFirmware, board: Board) -> None:
    image = firmware.image.read_bytes()
    for name in board.package.formats:
        kind = find_format(name)
        assert kind.read is not None
        assert (
            kind.read(board, (firmware.folder / file_name("hello_world", name)).read_bytes())
            == image
        )
    text = (firmware.folder / "FLASHING.md").read_text()
    assert text.startswith("# Flashing Moon Lamp\n")
    assert "`./invoke flash --target moon_lamp`" in text
    job = prepare(FlashRequest(board, firmware.folder), this_host(), dry_run=True)
    assert plan(job)[0].endswith("to Moon Lamp by ambiq_bootloader")


def test_it_computes_what_the_model_computes(verified: VerifiedFirmware) -> None:
    assert verified.passed
    assert verified.comparison.cases == verified.comparison.equal == 256
    report = json.loads(verified.report.read_text())
    assert report["target"] == NAME


def test_its_own_leds_follow_the_sine_on_its_own_pads(run: SimulatedRun) -> None:
    assert re.match(rf"hello_world: board={NAME} model=sine_int8 ", run.result.console)
    assert len(run.result.inferences) == 500
    for each in run.result.inferences:
        assert set(each.brightness) == {"moonlight", "glow"}
        assert abs(each.brightness["moonlight"] - min(max(each.y, 0), 1)) <= 1 / 12_000
        assert abs(each.brightness["glow"] - min(max(-each.y, 0), 1)) <= 1 / 12_000
    # Its own constants.cc: a period is 250 inferences.
    assert run.result.inferences[0].raw_in == run.result.inferences[250].raw_in
    assert len({each.raw_in for each in run.result.inferences[:250]}) > 100


def test_nothing_outside_its_folder_was_touched(
    checkout: Checkout, run: SimulatedRun, verified: VerifiedFirmware
) -> None:
    assert run.report.is_file()
    assert verified.report.is_file()
    after = contents(checkout.layout.project)
    added = {name for name in after if name not in checkout.before}
    assert {name: after.get(name) for name in checkout.before} == checkout.before
    assert {Path(name).parts[:2] for name in added if not Path(name).name.startswith(".")} == {
        ("boards", NAME)
    }


def test_nothing_of_the_code_names_a_board(layout: Layout) -> None:
    names = board_names(layout.boards)
    for folder in ("toolchain", "simulator", "model"):
        for path in (layout.project / folder).rglob("*.py"):
            for name in names:
                assert name not in path.read_text(), f"{path} names {name}"
