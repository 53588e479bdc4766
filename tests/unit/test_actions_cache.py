"""The action cache, and the record of what each step was made of."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.actions_support import P, shell
from toolchain.actions.action import prepare_action
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.history import History, changes
from toolchain.actions.model import Step
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.errors import CacheCorruptError

_ACTION = Digest.of_bytes(b"an action")


class _Cache:
    def __init__(self, folder: Path) -> None:
        self.reports: list[str] = []
        self.store = Store(folder / "cas", self.reports.append)
        self.cache = ActionCache(folder / "ac", self.store, self.reports.append)
        self.result = ActionResult({P("a/b"): self.store.put_bytes(b"content")}, 1.5)
        self.cache.put(_ACTION, self.result)

    @property
    def entry(self) -> Path:
        return self.cache.path(_ACTION)

    def get(self) -> ActionResult | None:
        return self.cache.get(_ACTION, [P("a/b")])


@pytest.fixture
def known(tmp_path: Path) -> _Cache:
    return _Cache(tmp_path)


def test_a_result_is_known_again(known: _Cache) -> None:
    assert known.get() == known.result
    assert known.reports == []


def test_another_action_is_a_silent_miss(known: _Cache) -> None:
    assert known.cache.get(Digest.of_bytes(b"another"), [P("a/b")]) is None
    assert known.reports == []


def _with(key: str, value: object) -> Callable[[bytes], bytes]:
    return lambda data: json.dumps({**json.loads(data), key: value}).encode()


@pytest.mark.parametrize(
    "poison",
    [
        lambda _: b"",
        lambda _: b"\xff\xfe",
        lambda _: b"null",
        lambda _: b"[" * 100_000,
        lambda data: data[: len(data) // 2],
        _with("schema", "tinyml-toolchain/action-result/0"),
        _with("action", {"sha256": "0" * 64, "size_bytes": 1}),
        _with("outputs", "x"),
        _with("outputs", [{"path": "a/b", "sha256": "../../etc/passwd", "size_bytes": 1}]),
        _with("outputs", [{"path": "a/b", "sha256": "0" * 64, "size_bytes": -1}]),
        _with("outputs", [{"path": "a/b", "sha256": "0" * 64, "size_bytes": True}]),
        _with("outputs", []),
        _with("seconds", "soon"),
        _with("seconds", 10**400),
        _with("seconds", float("nan")),
        _with("seconds", float("inf")),
        _with("seconds", -1),
        _with("made_by", {"engine": 1, "isolated": True, "pinned": True}),
        _with("made_by", {"engine": "docker", "isolated": "yes", "pinned": True}),
    ],
)
def test_an_entry_that_makes_no_sense_is_a_reported_miss(
    known: _Cache, poison: Callable[[bytes], bytes]
) -> None:
    known.entry.write_bytes(poison(known.entry.read_bytes()))
    assert known.get() is None
    assert len(known.reports) == 1
    assert str(known.entry) in known.reports[0]
    assert not known.entry.exists()


def test_a_missing_blob_is_a_reported_miss(known: _Cache) -> None:
    known.store.path(known.result.outputs[P("a/b")]).unlink()
    assert known.get() is None
    assert "a/b" in known.reports[0]


def test_a_poisoned_blob_is_a_reported_miss(known: _Cache) -> None:
    path = known.store.path(known.result.outputs[P("a/b")])
    path.chmod(0o600)
    path.write_bytes(b"CONTENT")
    assert known.get() is None
    assert len(known.reports) == 2
    assert not path.exists()


def test_a_folder_in_an_entrys_place_says_what_to_do(known: _Cache) -> None:
    known.entry.unlink()
    (known.entry / "x").mkdir(parents=True)
    with pytest.raises(CacheCorruptError, match="remove it"):
        known.get()


_STEP = dataclasses.replace(
    shell("build", "true", {P("a"): b"1", P("b"): b"2"}), environment={"V": "1"}
)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (dataclasses.replace(_STEP, image="image:2"), "image changed to image:2"),
        (dataclasses.replace(_STEP, arguments=("x",)), "its command line changed"),
        (dataclasses.replace(_STEP, environment={"V": "2"}), "variable V changed"),
        (dataclasses.replace(_STEP, environment={}), "variable V is gone"),
        (dataclasses.replace(_STEP, working_directory="/"), "its working directory changed"),
        (dataclasses.replace(_STEP, timeout_seconds=1), "its time limit changed"),
        (dataclasses.replace(_STEP, outputs=(P("z"),)), "its list of outputs changed"),
        (dataclasses.replace(_STEP, inputs={P("a"): b"9", P("b"): b"2"}), "a changed"),
        (dataclasses.replace(_STEP, inputs={P("b"): b"2"}), "a is gone"),
        (
            dataclasses.replace(_STEP, inputs={P("a"): b"1", P("b"): b"2", P("c"): b"3"}),
            "c is new",
        ),
        (_STEP, "its result is no longer in the cache"),
    ],
)
def test_what_changed_is_named(tmp_path: Path, changed: Step, reason: str) -> None:
    history = History(tmp_path, tmp_path / "project")
    history.remember(prepare_action(_STEP, {}), 2.0)
    assert changes(history.last("build"), prepare_action(changed, {})) == (reason,)


def test_many_changes_are_counted(tmp_path: Path) -> None:
    history = History(tmp_path, tmp_path / "project")
    one = {P(f"f{number}"): b"1" for number in range(9)}
    other = dict.fromkeys(one, b"2")
    history.remember(prepare_action(dataclasses.replace(_STEP, inputs=one), {}), 2.0)
    action = prepare_action(dataclasses.replace(_STEP, inputs=other), {})
    reasons = changes(history.last("build"), action)
    assert reasons == ("f0 changed", "f1 changed", "f2 changed", "and 6 more changed")


def test_histories_of_two_checkouts_are_apart(tmp_path: Path) -> None:
    History(tmp_path, tmp_path / "one").remember(prepare_action(_STEP, {}), 2.0)
    assert History(tmp_path, tmp_path / "other").last("build") is None


@pytest.mark.parametrize("poison", [b"", b"null", b"{}", b"[" * 100_000])
def test_a_record_that_makes_no_sense_is_none(tmp_path: Path, poison: bytes) -> None:
    history = History(tmp_path, tmp_path / "project")
    history.remember(prepare_action(_STEP, {}), 2.0)
    history.path("build").write_bytes(poison)
    assert history.last("build") is None


@pytest.mark.parametrize("seconds", ["soon", None, float("nan"), 10**400])
def test_a_record_of_no_duration_is_none(tmp_path: Path, seconds: object) -> None:
    history = History(tmp_path, tmp_path / "project")
    history.remember(prepare_action(_STEP, {}), 2.0)
    path = history.path("build")
    path.write_bytes(_with("seconds", seconds)(path.read_bytes()))
    assert history.last("build") is None


def test_a_record_that_is_current_is_not_written_again(tmp_path: Path) -> None:
    history = History(tmp_path, tmp_path / "project")
    history.remember(prepare_action(_STEP, {}), 2.0)
    before = history.path("build").stat().st_ctime_ns
    history.remember(prepare_action(_STEP, {}), 3.0)
    assert history.path("build").stat().st_ctime_ns == before
