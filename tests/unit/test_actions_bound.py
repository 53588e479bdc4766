"""The cache's bound: what goes, what stays, and when nobody looks."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.actions_support import (
    HostExecutor,
    P,
    RecordingReporter,
    files_under,
    make_layout,
    shell,
)
from toolchain.actions import Runner, project_lock
from toolchain.actions import bound as module
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.bound import (
    DEFAULT_LIMIT_BYTES,
    LIMIT_VARIABLE,
    cache_limit,
    keep_within_bound,
    measure,
    shrink,
)
from toolchain.actions.lock import only_user
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.errors import UsageError
from toolchain.layout import Layout

MB = 1_000_000
NOW = 2_000_000_000.0


class Cache:
    def __init__(self, folder: Path) -> None:
        self.layout = make_layout(folder)
        self.store = Store(self.layout.store)
        self.results = ActionCache(self.layout.actions, self.store, print)

    def add(self, name: str, age: float, *shared: str) -> Digest:
        """Add a result with a megabyte of its own and what it shares with others."""
        action = Digest.of_bytes(name.encode())
        outputs = {P(text): self.put(text) for text in (name, *shared)}
        self.results.put(action, ActionResult(outputs, 1.0))
        os.utime(self.results.path(action), (NOW - age, NOW - age))
        return action

    def put(self, text: str) -> Digest:
        return self.store.put_bytes(text.encode().ljust(MB))

    def has(self, text: str) -> bool:
        return self.store.contains(Digest.of_bytes(text.encode().ljust(MB)))

    def download(self, text: str, age: float) -> Path:
        path = self.layout.downloads / Digest.of_bytes(text.encode()).sha256
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(MB))
        os.utime(path, (NOW - age, NOW - age))
        return path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_what_was_of_use_longest_ago_goes_first(cache: Cache) -> None:
    actions = {age: cache.add(f"result {age}", age) for age in (50, 10, 40, 20, 30)}
    old = cache.download("old", 45)
    new = cache.download("new", 5)
    removed = shrink(cache.layout, 6 * MB, NOW)
    # From 7 MB down to 80 % of 6: the results of 50 and 40 and the download between them.
    assert (removed.results, removed.files) == (2, 3)
    assert not old.exists()
    assert new.exists()
    known = {age: cache.results.get(action, None) is not None for age, action in actions.items()}
    assert known == {50: False, 40: False, 30: True, 20: True, 10: True}
    assert removed.left_bytes == sum(part.size_bytes for part in measure(cache.layout))
    assert not cache.has("result 50")


def test_within_the_bound_nothing_goes(cache: Cache) -> None:
    cache.add("result", 10)
    cache.put("input")
    before = files_under(cache.layout.cache)
    assert shrink(cache.layout, 3 * MB, NOW).size_bytes == 0
    assert files_under(cache.layout.cache) == before


def test_an_output_stays_as_long_as_a_result_names_it(cache: Cache) -> None:
    cache.add("old", 50, "shared")
    kept = cache.add("new", 10, "shared")
    shrink(cache.layout, int(2.9 * MB), NOW)
    assert cache.results.get(kept, None) is not None
    assert cache.has("shared")
    assert not cache.has("old")
    shrink(cache.layout, MB // 2, NOW)
    assert [path for path in files_under(cache.layout.store) if path.startswith("sha256")] == []


def test_a_result_that_is_asked_for_is_of_use(cache: Cache) -> None:
    since = NOW - time.time()
    asked = cache.add("asked for", since + 1_000_000)
    other = cache.add("other", since + 500_000)
    assert cache.results.get(asked, None) is not None
    shrink(cache.layout, int(1.5 * MB))
    assert cache.results.get(asked, None) is not None
    assert cache.results.get(other, None) is None


def test_inputs_that_no_result_names_go_by_their_own_age(cache: Cache) -> None:
    cache.put("input")
    result = cache.add("result", -5)
    shrink(cache.layout, int(1.5 * MB), time.time() + 60)
    assert not cache.has("input")
    assert cache.results.get(result, None) is not None


@pytest.mark.parametrize("jump", [-(10**9), -3600, 3600, 10**8])
def test_a_clock_that_jumps_makes_nothing_immortal(cache: Cache, jump: int) -> None:
    actions = [cache.add(f"result {age}", age) for age in (30, 20, 10)]
    for limit in (2, 1, 0):
        shrink(cache.layout, int((limit + 0.4) * MB), NOW + jump)
        now = [path for path in files_under(cache.layout.actions) if path.endswith("json")]
        assert len(now) <= limit
    assert all(cache.results.get(action, None) is None for action in actions)


def test_damaged_entries_are_no_hindrance(cache: Cache) -> None:
    action = cache.add("damaged", 30)
    cache.results.path(action).write_text("[")
    os.utime(cache.results.path(action), (NOW - 30, NOW - 30))
    good = cache.add("good", 10)
    shrink(cache.layout, int(1.5 * MB), NOW)
    assert cache.results.get(good, None) is not None
    assert not cache.has("damaged")
    shrink(cache.layout, 0, NOW)
    assert not cache.results.path(action).exists()


@pytest.fixture
def held(cache: Cache) -> Iterator[RecordingReporter]:
    reporter = RecordingReporter()
    with project_lock(cache.layout, reporter):
        yield reporter


def limit(megabytes: float) -> dict[str, str]:
    return {LIMIT_VARIABLE: f"{megabytes} MB"}


def test_what_outgrows_the_bound_is_told(cache: Cache, held: RecordingReporter) -> None:
    for age in range(5):
        cache.add(f"result {age}", age)
    removed = keep_within_bound(cache.layout, cache.store.written_bytes, held, limit(3))
    assert removed is not None
    assert removed.results == 3
    (note,) = held.notes
    assert "outgrown 3 MB" in note
    assert LIMIT_VARIABLE in note


def test_a_run_that_adds_nothing_does_not_look(
    cache: Cache, held: RecordingReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.add("result", 10)
    assert keep_within_bound(cache.layout, cache.store.written_bytes, held, limit(3)) is not None
    monkeypatch.setattr(module, "_files", lambda _: pytest.fail("it looked"))
    assert keep_within_bound(cache.layout, 0, held, limit(3)) is None


def test_small_additions_are_added_up_without_a_walk(
    cache: Cache, held: RecordingReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks: list[Layout] = []

    def counted(layout: Layout, bound: int) -> module.Removed:
        walks.append(layout)
        return shrink(layout, bound)

    monkeypatch.setattr(module, "shrink", counted)
    for number in range(6):
        before = cache.store.written_bytes
        cache.add(f"result {number}", -number)
        keep_within_bound(cache.layout, cache.store.written_bytes - before, held, limit(4.5))
    # The first addition, when nothing is known, and the fifth, which is one too many.
    assert len(walks) == 2
    assert len(held.notes) == 1


def test_a_tally_that_cannot_be_understood_is_made_anew(
    cache: Cache, held: RecordingReporter
) -> None:
    cache.add("result", 10)
    tally = cache.layout.actions / "tally.json"
    for text in ("", "[]", '{"size_bytes": -1}', '{"schema": 1, "size_bytes": "x"}'):
        tally.write_text(text)
        assert keep_within_bound(cache.layout, 1, held, limit(3)) is not None
        assert keep_within_bound(cache.layout, 1, held, limit(3)) is None


_USER = """
import sys
from pathlib import Path
from tests.unit.actions_support import RecordingReporter
from toolchain.actions import project_lock
from toolchain.layout import Layout
with project_lock(Layout(Path(sys.argv[1]), Path(sys.argv[2])), RecordingReporter()):
    print("in", flush=True)
    sys.stdin.read()
"""


def test_nothing_goes_while_another_command_runs_and_the_next_one_sees_to_it(
    cache: Cache, held: RecordingReporter, tmp_path: Path
) -> None:
    for age in range(5):
        cache.add(f"result {age}", age)
    before = files_under(cache.layout.store)
    with subprocess.Popen(
        [sys.executable, "-c", _USER, str(tmp_path / "another"), str(cache.layout.cache)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as user:
        assert user.stdout is not None
        assert user.stdout.readline() == "in\n"
        assert keep_within_bound(cache.layout, cache.store.written_bytes, held, limit(3)) is None
        assert files_under(cache.layout.store) == before
        with only_user(cache.layout) as alone:
            assert not alone
        user.kill()
    # The lock went with its holder, and a run that adds nothing looks this time.
    assert keep_within_bound(cache.layout, 0, held, limit(3)) is not None
    assert len(files_under(cache.layout.store)) == 2


def test_no_command_begins_while_the_cache_is_made_smaller(
    cache: Cache, held: RecordingReporter, tmp_path: Path
) -> None:
    del held
    with only_user(cache.layout) as alone:
        assert alone
        user = subprocess.Popen(
            [sys.executable, "-c", _USER, str(tmp_path / "another"), str(cache.layout.cache)],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        lock = cache.layout.cache / "locks"
        while len(list(lock.glob("*.lock"))) < 2:
            time.sleep(0.01)
        assert user.stdout is not None
        assert select.select([user.stdout], [], [], 0.3)[0] == []
    assert user.stdout.readline() == "in\n"
    user.communicate("")
    assert user.returncode == 0


def test_a_cache_that_cannot_be_written_is_a_warning(
    cache: Cache, held: RecordingReporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for age in range(5):
        cache.add(f"result {age}", age)

    def refuse(path: Path, **_: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    assert keep_within_bound(cache.layout, MB, held, limit(3)) is None
    assert "Read-only" in held.warnings[0]


def test_steps_run_again_after_their_results_went(tmp_path: Path) -> None:
    layout, reporter = make_layout(tmp_path), RecordingReporter()
    steps = [
        shell("large", "head -c 2000000 /dev/zero > $OUT/out"),
        shell("small", "echo x > $OUT/out"),
    ]

    def run() -> list[bool]:
        runner = Runner(layout, lambda: HostExecutor(layout, runner.store), reporter)
        with project_lock(layout, reporter):
            results = runner.run(steps)
            keep_within_bound(layout, runner.store.written_bytes, reporter, limit(1))
        return [results[step.name].cached for step in steps]

    assert run() == [False, False]
    assert run()[0] is False
    assert sum(part.size_bytes for part in measure(layout) if part.bounded) <= MB


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", DEFAULT_LIMIT_BYTES),
        ("none", None),
        ("0", 0),
        ("123", 123),
        ("5GB", 5 * 10**9),
        ("1.5 gb", 15 * 10**8),
        ("20M", 20 * MB),
        ("2 TB", 2 * 10**12),
        ("123B", 123),
    ],
)
def test_the_bound_is_a_size(text: str, size: int | None) -> None:
    assert cache_limit({LIMIT_VARIABLE: text}) == size


@pytest.mark.parametrize("text", ["much", "-1", "5 XB", "GB", "1 2", "9" * 400])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=LIMIT_VARIABLE):
        cache_limit({LIMIT_VARIABLE: text})
