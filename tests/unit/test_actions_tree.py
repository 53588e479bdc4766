"""Merkle input trees and the actions made of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.actions_support import P, shell
from toolchain.actions.action import prepare_action
from toolchain.actions.model import OutputOf, Step, StepGraphError
from toolchain.actions.tree import build_tree
from toolchain.digest import Digest
from toolchain.errors import StepFailedError

_part = st.text("abcé", min_size=1, max_size=2)
_path = st.lists(_part, min_size=1, max_size=3).map(lambda parts: PurePosixPath(*parts))


def _no_clash(files: dict[PurePosixPath, bytes]) -> bool:
    return not any(parent in files for path in files for parent in path.parents)


_files = st.dictionaries(_path, st.binary(max_size=3), max_size=8).filter(_no_clash)


@given(_files, st.randoms())
def test_order_makes_no_difference(files: dict[PurePosixPath, bytes], random: object) -> None:
    items = list(files.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert build_tree(dict(items)).root == build_tree(files).root


@given(_files, _files)
def test_trees_are_equal_exactly_when_their_files_are(
    one: dict[PurePosixPath, bytes], other: dict[PurePosixPath, bytes]
) -> None:
    assert (build_tree(one).root == build_tree(other).root) == (one == other)


@given(_files, st.data())
def test_any_change_changes_the_digest(
    files: dict[PurePosixPath, bytes], data: st.DataObject
) -> None:
    assume(files)
    path = data.draw(st.sampled_from(sorted(files)))
    root = build_tree(files).root
    assert build_tree({**files, path: files[path] + b"x"}).root != root
    without = {name: content for name, content in files.items() if name != path}
    assert build_tree(without).root != root
    renamed = {**without, path.with_name(path.name + "z"): files[path]}
    assert build_tree(renamed).root != root


def test_a_file_its_bytes_and_its_digest_are_the_same_input(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"content")
    roots = {
        build_tree({P("x/a"): source}).root
        for source in (file, b"content", Digest.of_bytes(b"content"))
    }
    assert len(roots) == 1


def test_time_owner_and_place_are_not_in_it_but_the_executable_bit_is(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "folder" / "other"
    other.parent.mkdir()
    for file in (one, other):
        file.write_bytes(b"content")
    one.chmod(0o600)
    other.chmod(0o644)
    root = build_tree({P("a"): one}).root
    assert build_tree({P("a"): other}).root == root
    other.chmod(0o755)
    assert build_tree({P("a"): other}).root != root


def test_every_level_is_in_directories_and_leads_to_the_root() -> None:
    tree = build_tree({P("a/b/c"): b"1", P("a/d"): b"2", P("e"): b"3"})
    assert len(tree.directories) == 3
    assert all(Digest.of_bytes(data) == digest for digest, data in tree.directories.items())
    assert tree.root in tree.directories


def test_equal_folders_are_one_message() -> None:
    assert len(build_tree({P("a/x"): b"1", P("b/x"): b"1"}).directories) == 2


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", ".", "a\0b", "\ud800"])
def test_paths_that_leave_the_root_are_refused(path: str) -> None:
    with pytest.raises(StepGraphError):
        build_tree({PurePosixPath(path): b""})


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b/c", "a/b"), ("a", "a/b/c")])
def test_a_file_and_folder_of_one_name_are_refused(paths: tuple[str, str]) -> None:
    with pytest.raises(StepGraphError, match="file and a folder"):
        build_tree({P(path): b"" for path in paths})


def test_a_missing_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match=r"board\.cc cannot be read: No such file"):
        build_tree({P("boards/board.cc"): tmp_path / "board.cc"})


def test_a_folder_is_no_input(tmp_path: Path) -> None:
    with pytest.raises(StepFailedError, match="not a regular file"):
        build_tree({P("a"): tmp_path})


_STEP = shell("step", "true", {P("a"): b"1"})


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(_STEP, image="image:2"),
        dataclasses.replace(_STEP, arguments=("/bin/true",)),
        dataclasses.replace(_STEP, inputs={P("a"): b"2"}),
        dataclasses.replace(_STEP, outputs=(P("other"),)),
        dataclasses.replace(_STEP, environment={"A": "1"}),
        dataclasses.replace(_STEP, working_directory="/project/a"),
        dataclasses.replace(_STEP, working_directory="/opt/tflm"),
        dataclasses.replace(_STEP, timeout_seconds=601),
    ],
)
def test_everything_that_can_change_a_result_is_in_the_key(changed: Step) -> None:
    assert prepare_action(changed, {}).digest != prepare_action(_STEP, {}).digest


@pytest.mark.parametrize(
    "changed",
    [
        dataclasses.replace(_STEP, name="other"),
        dataclasses.replace(_STEP, memory_bytes=1 << 30),
        dataclasses.replace(_STEP, pids=100),
    ],
)
def test_names_and_limits_are_not_in_the_key(changed: Step) -> None:
    assert prepare_action(changed, {}).digest == prepare_action(_STEP, {}).digest


def test_an_output_of_a_step_enters_by_content() -> None:
    source = OutputOf("first", P("x"))
    by_reference = dataclasses.replace(_STEP, inputs={P("a"): source})
    action = prepare_action(by_reference, {source: Digest.of_bytes(b"1")})
    assert action.digest == prepare_action(_STEP, {}).digest
    with pytest.raises(StepGraphError, match="no output"):
        prepare_action(by_reference, {})


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"arguments": ()},
        {"outputs": ()},
        {"timeout_seconds": 0},
        {"memory_bytes": 0},
        {"pids": 0},
        {"working_directory": "project"},
        {"working_directory": "/project/../etc"},
    ],
)
def test_steps_that_cannot_be_run_are_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(StepGraphError):
        dataclasses.replace(_STEP, **arguments)  # type: ignore[arg-type]


def test_outputs_stay_in_their_folder() -> None:
    with pytest.raises(StepGraphError):
        prepare_action(dataclasses.replace(_STEP, outputs=(P("../x"),)), {})
