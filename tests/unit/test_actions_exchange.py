"""Step results in a folder: the same bytes each time, and nothing unsound comes back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.actions_support import P, files_under
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.exchange import Exchanged, export_results, import_results
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.errors import CacheCorruptError, UsageError

OUTPUTS = (P("a"), P("d/b"))


class Machine:
    """A cache in a folder."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.actions = folder / "ac"
        self.store = Store(folder / "cas", self.said.append)
        self.cache = ActionCache(self.actions, self.store, self.said.append)

    def add(self, name: str, seconds: float = 1.5) -> Digest:
        action = Digest.of_bytes(name.encode())
        blobs = (f"{name} a".encode(), b"the same for all")
        digests = {
            path: self.store.put_bytes(data) for path, data in zip(OUTPUTS, blobs, strict=True)
        }
        self.cache.put(action, ActionResult(digests, seconds))
        return action

    def export_to(self, folder: Path, chosen: list[Digest] | None = None) -> Exchanged:
        return export_results(self.actions, self.store, folder, self.said.append, chosen)

    def import_from(self, folder: Path) -> Exchanged:
        return import_results(folder, self.cache, self.store, self.said.append)

    def outputs(self, action: Digest) -> list[bytes] | None:
        result = self.cache.get(action, OUTPUTS)
        if result is None:
            return None
        return [self.store.get(digest) for digest in result.outputs.values()]


@pytest.fixture
def one(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "one")


@pytest.fixture
def other(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "other")


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return tmp_path / "export"


def entry(export: Path, action: Digest) -> Path:
    return export / "ac" / action.sha256[:2] / f"{action.sha256}.json"


def blob(export: Path, data: bytes) -> Path:
    digest = Digest.of_bytes(data)
    return export / "cas/sha256" / digest.sha256[:2] / digest.sha256


def test_what_was_exported_is_known_elsewhere(one: Machine, other: Machine, export: Path) -> None:
    actions = [one.add("x"), one.add("y")]
    done = one.export_to(export)
    assert (done.results, done.known, done.refused) == (2, 0, 0)
    assert done.copied_bytes == 3 + 3 + 16
    assert other.import_from(export) == done
    for action in actions:
        assert other.outputs(action) == one.outputs(action)
    again = other.import_from(export)
    assert (again.results, again.known, again.copied_bytes) == (0, 2, 0)
    assert one.said == other.said == []


def test_the_same_results_give_the_same_bytes_and_times(
    one: Machine, other: Machine, tmp_path: Path
) -> None:
    for name in ("x", "y"):
        one.add(name)
    for name in ("y", "x"):
        other.add(name, seconds=9)
    one.export_to(tmp_path / "1")
    other.export_to(tmp_path / "2")
    assert files_under(tmp_path / "1") == files_under(tmp_path / "2")
    times = {path.stat().st_mtime for path in tmp_path.glob("[12]/**/*") if path.is_file()}
    assert len(times) == 1


def test_what_is_asked_for_is_exported_with_its_outputs_only(
    one: Machine, other: Machine, export: Path
) -> None:
    wanted = one.add("x")
    unwanted = one.add("y")
    assert one.export_to(export, [wanted]).results == 1
    assert len([path for path in export.rglob("*") if path.is_file()]) == 4
    other.import_from(export)
    assert other.outputs(wanted)
    assert other.outputs(unwanted) is None


def test_an_export_is_added_to_and_mended(one: Machine, export: Path) -> None:
    action = one.add("x")
    one.export_to(export)
    before = files_under(export)
    one.add("y")
    assert one.export_to(export).known == 1
    assert files_under(export).items() > before.items()
    blob(export, b"x a").unlink()
    entry(export, action).write_text("{")
    assert one.export_to(export).results == 1
    assert files_under(export).items() > before.items()


@pytest.mark.parametrize("kind", ["file", "folder", "link", "another version"])
def test_nothing_else_is_written_over(one: Machine, export: Path, kind: str) -> None:
    one.add("x")
    if kind == "file":
        export.write_text("mine")
    elif kind == "link":
        one.export_to(export.with_name("real"))
        export.symlink_to(export.with_name("real"))
    else:
        export.mkdir()
        (export / "format.json").write_text("mine")
    with pytest.raises(UsageError, match="no export of ours"):
        one.export_to(export)


def test_an_export_that_fails_leaves_nothing(
    one: Machine, export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.add("x")

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error", "disk")

    monkeypatch.setattr(Store, "put_file", fail)
    with pytest.raises(OSError, match="Input/output"):
        one.export_to(export)
    assert [path.name for path in export.parent.iterdir()] == ["one"]


def test_an_export_that_cannot_be_added_to_is_told_once(one: Machine, export: Path) -> None:
    one.add("first")
    one.export_to(export)
    shutil.rmtree(export / "cas")
    (export / "cas").touch()
    with pytest.raises(CacheCorruptError, match=str(export)):
        one.export_to(export)
    assert one.said == []


def test_an_output_of_another_length_is_not_even_read(
    one: Machine, other: Machine, export: Path
) -> None:
    one.add("first")
    one.export_to(export)
    large = blob(export, b"first a")
    large.chmod(0o600)
    os.truncate(large, 1 << 40)
    assert other.import_from(export).refused == 1
    assert "should be" in other.said[0]


def test_a_result_whose_outputs_have_gone_is_left_out(one: Machine, export: Path) -> None:
    one.add("x")
    one.add("y")
    one.store.path(Digest.of_bytes(b"x a")).unlink()
    done = one.export_to(export)
    assert (done.results, done.refused) == (1, 1)
    assert "is not in the cache" in one.said[0]


def change(export: Path, action: Digest, key: str, value: object) -> None:
    document = json.loads(entry(export, action).read_text())
    document["outputs"][0][key] = value
    entry(export, action).write_text(json.dumps(document))


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def link(path: Path) -> None:
    elsewhere = path.with_name(".elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def move_to_another_folder(export: Path, action: Digest) -> None:
    (export / "ac/zz").mkdir()
    entry(export, action).rename(export / "ac/zz" / entry(export, action).name)


def truncate(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])


def overwrite(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


Poison = Callable[[Path, Digest], object]

POISONS: dict[str, tuple[Poison, str]] = {
    "an object that is not its digest": (
        lambda folder, _: overwrite(blob(folder, b"x a"), b"x b"),
        "and should be",
    ),
    "an object that is too short": (
        lambda folder, _: truncate(blob(folder, b"x a")),
        "and should be",
    ),
    "an object that is too long": (
        lambda folder, _: overwrite(blob(folder, b"x a"), b"x a" + bytes(9)),
        "and should be",
    ),
    "an object that is missing": (
        lambda folder, _: blob(folder, b"x a").unlink(),
        "is missing",
    ),
    "an object that is a folder": (
        lambda folder, _: replace(blob(folder, b"x a"), Path.mkdir),
        "no regular file",
    ),
    "an object that is a link to what it should be": (
        lambda folder, _: link(blob(folder, b"x a")),
        "no regular file",
    ),
    "an object that is a pipe": (
        lambda folder, _: replace(blob(folder, b"x a"), os.mkfifo),
        "no regular file",
    ),
    "a result that names another size": (
        lambda folder, action: change(folder, action, "size_bytes", 4),
        "and should be",
    ),
    "a result that names a missing object": (
        lambda folder, action: change(folder, action, "sha256", "0" * 64),
        "is missing",
    ),
    "a result that names no digest": (
        lambda folder, action: change(folder, action, "sha256", "../../../etc/passwd"),
        "cannot be understood",
    ),
    "a result with a path upwards": (
        lambda folder, action: change(folder, action, "path", "../a"),
        "cannot be understood",
    ),
    "a result with an absolute path": (
        lambda folder, action: change(folder, action, "path", "/a"),
        "cannot be understood",
    ),
    "a result with a path that is no text": (
        lambda folder, action: change(folder, action, "path", None),
        "cannot be understood",
    ),
    "a negative size": (
        lambda folder, action: change(folder, action, "size_bytes", -1),
        "cannot be understood",
    ),
    "a result that is cut off": (
        lambda folder, action: truncate_to(entry(folder, action), 40),
        "cannot be understood",
    ),
    "an empty result": (
        lambda folder, action: entry(folder, action).write_bytes(b""),
        "cannot be understood",
    ),
    "a result that is no JSON": (
        lambda folder, action: entry(folder, action).write_bytes(b"\xff\xfe"),
        "cannot be understood",
    ),
    "a result that nests without end": (
        lambda folder, action: entry(folder, action).write_bytes(b"[" * 100_000),
        "cannot be understood",
    ),
    "a result of another schema": (
        lambda folder, action: entry(folder, action).write_text('{"schema": "x"}'),
        "cannot be understood",
    ),
    "a result without outputs": (
        lambda folder, action: without_outputs(entry(folder, action)),
        "has no outputs",
    ),
    "a result that is too long": (
        lambda folder, action: entry(folder, action).write_bytes(b" " * (1 << 21)),
        "too long",
    ),
    "a result under another action's name": (
        lambda folder, action: entry(folder, action).rename(
            entry(folder, action).with_name(f"{action.sha256[:2]}{'0' * 62}.json")
        ),
        "another action",
    ),
    "a result in another action's folder": (
        move_to_another_folder,
        "another action",
    ),
    "a result that is a link": (
        lambda folder, action: link(entry(folder, action)),
        "no regular file",
    ),
    "a result that is a folder": (
        lambda folder, action: replace(entry(folder, action), Path.mkdir),
        "no regular file",
    ),
}


def truncate_to(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def without_outputs(path: Path) -> None:
    document = json.loads(path.read_text())
    document["outputs"] = []
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("poison", POISONS)
def test_what_is_poisoned_is_refused_and_reported_and_the_rest_is_taken(
    one: Machine, other: Machine, export: Path, poison: str
) -> None:
    bad, good = one.add("x"), one.add("y")
    one.export_to(export)
    spoil, reason = POISONS[poison]
    spoil(export, bad)
    done = other.import_from(export)
    assert (done.results, done.refused) == (1, 1)
    (said,) = other.said
    assert reason in said
    assert other.outputs(good) == [b"y a", b"the same for all"]
    assert other.outputs(bad) is None
    for path in (other.store.path(Digest(sha, 0)) for sha in ("0" * 64, bad.sha256)):
        assert not path.exists()
    # Whatever was taken is what its name says, and nothing half-written is left.
    for path in other.store.path(good).parents[1].rglob("*"):
        assert path.is_dir() or Digest.of_file(path).sha256 == path.name
    assert list(other.store.temporary.iterdir()) == []


def test_a_sound_result_mends_a_broken_cache(one: Machine, other: Machine, export: Path) -> None:
    action = one.add("x")
    one.export_to(export)
    other.import_from(export)
    path = other.store.path(Digest.of_bytes(b"x a"))
    path.chmod(0o600)
    path.write_bytes(b"???")
    assert other.import_from(export).results == 1
    assert other.outputs(action) == [b"x a", b"the same for all"]


def test_two_results_of_one_action_are_reported_and_the_own_one_stays(
    one: Machine, other: Machine, export: Path
) -> None:
    action = one.add("x")
    one.export_to(export)
    own = {path: other.store.put_bytes(b"of this machine") for path in OUTPUTS}
    other.cache.put(action, ActionResult(own, 1.0))
    done = other.import_from(export)
    assert (done.results, done.known) == (0, 1)
    assert "does not give the same bytes everywhere" in other.said[0]
    assert other.outputs(action) == [b"of this machine"] * 2


@pytest.mark.parametrize("kind", ["missing", "empty", "another version", "a file"])
def test_what_is_no_export_is_told(other: Machine, export: Path, kind: str) -> None:
    if kind == "a file":
        export.write_text("")
    elif kind != "missing":
        export.mkdir()
    if kind == "another version":
        (export / "format.json").write_text('{"schema": "tinyml-toolchain/step-cache/2"}')
    with pytest.raises(UsageError, match="no export"):
        other.import_from(export)


def test_what_else_lies_in_an_export_is_not_taken(
    one: Machine, other: Machine, export: Path
) -> None:
    one.add("x")
    one.export_to(export)
    (export / "cas/sha256/aa").mkdir(exist_ok=True)
    (export / "cas/sha256/aa" / ("a" * 64)).write_text("stray")
    shutil.copytree(export / "ac", export / "ac/last")
    assert other.import_from(export).results == 1
    assert not other.store.path(Digest("a" * 64, 5)).exists()
