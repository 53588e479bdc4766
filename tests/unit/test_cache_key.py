"""The key of every step, both ways: each input changes it, and nothing else does.

One by one: every file that a step reads, every output of another step, every part of its command.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import pytest

from tests.unit.commands_support import EDGE, copy_project
from toolchain.actions import OutputOf, Step
from toolchain.actions.action import prepare_action
from toolchain.boards import find_board
from toolchain.digest import Digest
from toolchain.layout import Layout
from toolchain.models import MODELS, GivenModel, Model
from toolchain.pipeline import Pipeline

Keys = Mapping[str, str]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return copy_project(tmp_path)


def all_steps(layout: Layout) -> list[Step]:
    """Return every step that any command runs, for all boards and a given model."""
    pipeline = Pipeline(layout, "train:1", "cross:1", "host:1", "TFLM 1")
    given_file = layout.project / "given.keras"
    if not given_file.exists():
        given_file.write_bytes(b"a network")
    given = Model("given", "given", "model_runner", GivenModel(given_file))
    boards = [
        find_board(layout.boards, name)
        for name in ("sparkfun_edge", "arduino_nano_33_ble", "stm32f746g_disco")
    ]
    models = [*MODELS.values(), given]
    steps = pipeline.firmware_steps(boards, models, "release", tests=True)
    named = {step.name: step for step in [*steps, *pipeline.story("sine", {"a": "1"})]}
    return list(named.values())


def outputs(steps: list[Step]) -> dict[OutputOf, Digest]:
    return {
        OutputOf(step.name, path): Digest.of_bytes(f"{step.name} {path}".encode())
        for step in steps
        for path in step.outputs
    }


def keys(steps: list[Step], known: Mapping[OutputOf, Digest] | None = None) -> Keys:
    known = known or outputs(steps)
    return {step.name: prepare_action(step, known).digest.sha256 for step in steps}


def changed(before: Keys, after: Keys) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_every_file_that_is_read_changes_the_keys_of_its_readers_and_no_others(
    layout: Layout,
) -> None:
    steps = all_steps(layout)
    before = keys(steps)
    readers: dict[Path, set[str]] = {}
    for step in steps:
        for source in step.inputs.values():
            if isinstance(source, Path):
                readers.setdefault(source, set()).add(step.name)
    for path, names in readers.items():
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        affected = [step for step in steps if step.name in names]
        others = [step for step in steps if step.name not in names][:3]
        known = outputs(steps)
        assert (
            changed(
                {step.name: before[step.name] for step in [*affected, *others]},
                keys([*affected, *others], known),
            )
            == names
        ), path
        path.write_bytes(content)
    assert keys(steps) == before
    assert len(readers) >= 80
    assert sum(map(len, readers.values())) >= 600


def test_every_output_of_another_step_changes_the_key(layout: Layout) -> None:
    steps = all_steps(layout)
    known = outputs(steps)
    before = keys(steps, known)
    tried = 0
    for step in steps:
        for path, source in step.inputs.items():
            if isinstance(source, OutputOf):
                other = {**known, source: Digest.of_bytes(b"another result")}
                assert prepare_action(step, other).digest.sha256 != before[step.name], path
                tried += 1
    assert tried >= 200


def generated_changes(step: Step) -> Iterator[tuple[str, Step]]:
    """Yield the step with one thing of it changed, each thing once."""
    yield "image", dataclasses.replace(step, image=step.image + "0")
    yield "working directory", dataclasses.replace(step, working_directory="/opt/elsewhere")
    yield "time limit", dataclasses.replace(step, timeout_seconds=step.timeout_seconds + 1)
    for place in range(len(step.arguments)):
        words = list(step.arguments)
        words[place] += "x"
        yield f"argument {place}", dataclasses.replace(step, arguments=tuple(words))
        words = [word for number, word in enumerate(step.arguments) if number != place]
        if words:
            yield f"no argument {place}", dataclasses.replace(step, arguments=tuple(words))
    yield "one more argument", dataclasses.replace(step, arguments=(*step.arguments, "x"))
    for name in step.full_environment:
        environment = {**step.environment, name: "another"}
        yield f"variable {name}", dataclasses.replace(step, environment=environment)
    environment = {**step.environment, "MORE": ""}
    yield "one more variable", dataclasses.replace(step, environment=environment)
    for output in step.outputs:
        rest = tuple(each for each in step.outputs if each != output)
        renamed = (*rest, output.with_name(output.name + "x"))
        yield f"output {output}", dataclasses.replace(step, outputs=renamed)
    for path, source in step.inputs.items():
        others = {place: each for place, each in step.inputs.items() if place != path}
        yield f"no input {path}", dataclasses.replace(step, inputs=others)
        moved = {**others, path.with_name(path.name + "x"): source}
        yield f"input {path} renamed", dataclasses.replace(step, inputs=moved)
        if isinstance(source, bytes):
            edited = {**others, path: source + b" "}
            yield f"input {path} edited", dataclasses.replace(step, inputs=edited)
    more = {**step.inputs, PurePosixPath("more"): b""}
    yield "one more input", dataclasses.replace(step, inputs=more)


def test_every_part_of_every_step_changes_its_key(layout: Layout) -> None:
    steps = all_steps(layout)
    # By content, so that no file is read again for each of some thousand keys.
    known = outputs(steps)
    before = keys(steps, known)
    digests: dict[Path, OutputOf] = {}
    for step in steps:
        for source in step.inputs.values():
            if isinstance(source, Path) and source not in digests:
                digests[source] = OutputOf("file", PurePosixPath(str(source)))
                known[digests[source]] = Digest.of_file(source)
    tried = 0
    for step in steps:
        by_content = dataclasses.replace(
            step,
            inputs={
                path: digests[source] if isinstance(source, Path) else source
                for path, source in step.inputs.items()
            },
        )
        seen = {before[step.name]: "nothing"}
        assert prepare_action(by_content, known).digest.sha256 == before[step.name]
        for what, other in generated_changes(by_content):
            key = prepare_action(other, known).digest.sha256
            assert key not in seen, f"{step.name}: {what} gives the key of {seen[key]}"
            seen[key] = what
            tried += 1
    assert tried >= 3000


def _age(layout: Layout) -> None:
    for path in layout.project.rglob("*"):
        os.utime(path, (1, 1))


def _close_to_others(layout: Layout) -> None:
    for path in layout.project.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)


def _litter(layout: Layout) -> None:
    for name in ("notes.txt", "model/notes.txt", "tflm/.swp", "boards/README", "build/old.bin"):
        (layout.project / name).parent.mkdir(exist_ok=True)
        (layout.project / name).write_text("nothing that a step reads")
    (layout.project / "boards/unfinished").mkdir()


def _rewrite(layout: Layout) -> None:
    for path in [each for each in layout.project.rglob("*") if each.is_file()]:
        content, mode = path.read_bytes(), path.stat().st_mode
        path.unlink()
        path.write_bytes(content)
        path.chmod(mode)


def _link(layout: Layout) -> None:
    path = layout.project / "tflm/Makefile"
    path.rename(layout.project / "kept")
    path.symlink_to(layout.project / "kept")


@pytest.mark.parametrize("change", [_age, _close_to_others, _litter, _rewrite, _link])
def test_nothing_but_content_of_files_counts(
    layout: Layout, change: Callable[[Layout], None]
) -> None:
    before = keys(all_steps(layout))
    change(layout)
    assert keys(all_steps(layout)) == before


def test_a_programs_right_to_run_counts(layout: Layout) -> None:
    before = keys(all_steps(layout))
    (layout.project / "tflm/common/main.cc").chmod(0o755)
    assert changed(before, keys(all_steps(layout)))


_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "USER": "somebody",
    "LOGNAME": "somebody",
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": "de_DE.UTF-8",
    "TZ": "Pacific/Kiritimati",
    "PATH": "/elsewhere",
    "CFLAGS": "-O0",
    "SOURCE_DATE_EPOCH": "77",
    "PYTHONHASHSEED": "7",
    "TOOLCHAIN_CACHE": "/elsewhere",
    "DOCKER_HOST": "tcp://elsewhere",
    "HTTPS_PROXY": "http://elsewhere",
}


def test_the_users_environment_does_not_count(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(all_steps(layout))
    for variable, value in _ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    assert keys(all_steps(layout)) == before


def test_checkout_cache_clock_and_umask_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    one = copy_project(tmp_path / "one")
    before = keys(all_steps(one))
    old = os.umask(0o077)
    try:
        moved = copy_project(tmp_path / "other")
    finally:
        os.umask(old)
    later = time.time() + 400 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert keys(all_steps(moved)) == before
    assert keys(all_steps(dataclasses.replace(moved, cache=tmp_path))) == before
    assert EDGE.name in {name.split()[2] for name in before if name.startswith("firmware ")}
