"""simulate and verify with --simulator renode, by a stand-in for the program Renode."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator import SimulationRequest, simulate
from simulator.console import ResultLine
from tests.unit.commands_support import (
    EDGE,
    INT8,
    copy_project,
    firmware_contents,
    hello_world,
    hello_world_test,
    know,
    reference_json,
    session_in,
    steps_of,
)
from tests.unit.renode_stand_in import SPEAK, UNTIL_QUIT, stand_in
from toolchain.commands import renode as commands
from toolchain.commands.build import build
from toolchain.commands.renode import (
    Renode,
    RenodeInference,
    engine_and_simulator,
    simulate_in_renode,
)
from toolchain.commands.verify import verify
from toolchain.console import PlainReporter
from toolchain.errors import (
    DigestMismatchError,
    ImageBuildError,
    NetworkError,
    SimulatorUnavailableError,
    ToolchainError,
    UsageError,
    VerificationError,
)
from toolchain.render.simulation import renode_summary
from toolchain.session import Session, chosen_engine


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
    with session_in(copy_project(tmp_path)) as session:
        yield session


@pytest.fixture
def renode(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Renode:
    """Return one that says of each image what is in the folder ``said``."""
    program = stand_in(tmp_path, monkeypatch)(SPEAK + UNTIL_QUIT)
    (tmp_path / "said").mkdir()
    monkeypatch.setenv("STAND_IN_SAYS", str(tmp_path / "said"))
    return Renode(program, session.layout)


def console_of(image: bytes, **end: object) -> bytes:
    text = simulate(SimulationRequest(EDGE, image, **end)).console  # type: ignore[arg-type]
    return text.replace("\n", "\r\n").encode()


def says(tmp_path: Path, image: bytes, console: bytes) -> None:
    (tmp_path / "said" / hashlib.sha256(image).hexdigest()).write_bytes(console)


def test_a_run_in_renode_is_written_down(session: Session, renode: Renode, tmp_path: Path) -> None:
    image = hello_world()
    know(session, steps_of(session), firmware_contents(image))
    (firmware,) = build(session, [EDGE], INT8, "release")
    console = console_of(image, inferences=45)
    says(tmp_path, image, console + b"more\r\n")
    (run,) = simulate_in_renode(renode, [firmware], 45)
    report = json.loads(run.report.read_text())
    assert report == json.loads(json.dumps(run.as_json()))
    assert report["schema"] == "tinyml-toolchain/renode-simulation/1"
    assert report["console"] == console.decode().replace("\r\n", "\n")
    assert len(report["inferences"]) == 45
    assert report["brightness"] == {"red": [0.25, 0.75]}
    summary = renode_summary(run, 2)
    assert "console, 2 of 46 lines:\n  hello_world: a tiny one\n  x_value: " in summary
    assert "LED red: 25 to 75 %\n45 inferences\n" in summary


def test_a_number_that_is_not_finite_is_null_in_a_report_of_renode() -> None:
    line = ResultLine("inf", "nan", None, None, 0x7F80_0000, 0x7FC0_0000)
    assert RenodeInference.of(line) == RenodeInference(
        None, None, None, None, 0x7F80_0000, 0x7FC0_0000
    )


def test_a_board_without_files_for_renode_is_an_error(session: Session, renode: Renode) -> None:
    know(session, steps_of(session), firmware_contents(hello_world()))
    (firmware,) = build(session, [EDGE], INT8, "release")
    folder = session.layout.boards / EDGE.name / "renode"
    folder.rename(folder.with_name("away"))
    with pytest.raises(UsageError, match="has no files for Renode"):
        simulate_in_renode(renode, [firmware], 1)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the image run for some inferences only."""
    monkeypatch.setattr("toolchain.commands.verify.IMAGE_INFERENCES", 40)


def known_to_verify(session: Session, tmp_path: Path) -> tuple[bytes, bytes]:
    image, test = hello_world(), hello_world_test()
    contents = {
        **firmware_contents(image),
        **firmware_contents(test, "hello_world_test"),
        (f"reference {INT8.name}", "reference.json"): reference_json(),
    }
    know(session, steps_of(session, tests=True), contents)
    says(tmp_path, image, console_of(image, inferences=40))
    says(tmp_path, test, console_of(test, until_text="~~~"))
    return image, test


@pytest.mark.usefixtures("short")
def test_verify_counts_the_bytes_that_came_in_both(
    session: Session, renode: Renode, tmp_path: Path
) -> None:
    images = known_to_verify(session, tmp_path)
    (verified,) = verify(session, [EDGE], [INT8], "release", renode=renode)
    files = [tmp_path / "said" / hashlib.sha256(image).hexdigest() for image in images]
    expected = sum(file.stat().st_size for file in files)
    assert verified.renode_bytes == expected
    assert json.loads(verified.report.read_text())["renode_bytes"] == expected
    (alone,) = verify(session, [EDGE], [INT8], "release")
    assert "renode_bytes" not in alone.as_json()


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("which", [0, 1])
def test_verify_finds_one_byte_that_is_another_in_renode(
    session: Session, renode: Renode, tmp_path: Path, which: int
) -> None:
    image = known_to_verify(session, tmp_path)[which]
    file = tmp_path / "said" / hashlib.sha256(image).hexdigest()
    said = file.read_bytes()
    line = said.splitlines()[4]
    file.write_bytes(said.replace(line, line[:-1] + (b"8" if line[-1:] != b"8" else b"9"), 1))
    with pytest.raises(VerificationError, match="in Renode what it does not say") as caught:
        verify(session, [EDGE], [INT8], "release", renode=renode)
    assert "line 5 is" in str(caught.value)
    assert list(tmp_path.rglob("verify.json")) == []


def test_no_image_is_built_in_an_engine_that_ends_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    engine = SimpleNamespace(private=True)
    monkeypatch.setattr(commands, "open_engine", lambda *_: nullcontext(engine))
    with pytest.raises(SimulatorUnavailableError, match="needs a Docker Engine that stays"):
        commands.make_renode_image(PlainReporter(io.StringIO()))


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("curl: (6) Could not resolve host: a.example", NetworkError),
        ("curl: (22) The requested URL returned error: 503", NetworkError),
        ("curl: (22) The requested URL returned error: 404", ImageBuildError),
        ("failed to do request: dial tcp: lookup a.example", NetworkError),
        ("sha256sum: WARNING: 1 computed checksum did NOT match", DigestMismatchError),
        ("tar: Child returned status 1", ImageBuildError),
    ],
)
def test_it_is_told_whether_a_site_the_archive_or_the_build_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, error: type[ToolchainError]
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    address = SimpleNamespace(url="unix:///none")
    engine = SimpleNamespace(private=False, address=address)
    monkeypatch.setattr(commands, "open_engine", lambda *_: nullcontext(engine))
    with pytest.raises(ToolchainError) as caught:
        commands.make_renode_image(PlainReporter(io.StringIO()))
    assert type(caught.value) is error
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("engine", "simulator", "meant"),
    [
        ("auto", "unicorn", ("auto", "unicorn")),
        ("host", "renode", ("host", "renode")),
        ("renode", "unicorn", ("auto", "renode")),
        ("renode", "renode", ("auto", "renode")),
        ("unicorn", "unicorn", ("auto", "unicorn")),
        ("podman", "spice", ("podman", "spice")),
    ],
)
def test_a_simulator_named_as_the_engine_is_the_simulator(
    engine: str, simulator: str, meant: tuple[str, str]
) -> None:
    assert engine_and_simulator(engine, simulator) == meant


@pytest.mark.parametrize("other", ["renode", "spice"])
def test_two_simulators_are_an_error(other: str) -> None:
    with pytest.raises(UsageError, match=f"--engine unicorn and --simulator {other} are two"):
        engine_and_simulator("unicorn", other)


def test_a_simulator_is_no_engine_of_a_build() -> None:
    with pytest.raises(UsageError) as caught:
        chosen_engine("renode")
    assert "of simulate and verify only" in str(caught.value)
    assert "auto, docker, host" in str(caught.value)
