"""Faults put into the cache and into what uses it: whatever happens, the next run gives the same.

Each case damages, fills, locks or removes something real. Processes that are killed, and many at
once, are in ``tests/containers/test_faults_processes.py``; containers and the engine in
``test_faults_engine.py`` beside it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers.images_support import small_disk
from tests.unit.actions_support import (
    HostExecutor,
    P,
    RecordingReporter,
    files_under,
    make_layout,
    shell,
)
from tests.unit.faults_support import EXPECTED, NAMES, after, chain, run
from toolchain.actions import Runner, Store, publish
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.bound import keep_within_bound
from toolchain.actions.exchange import export_results, import_results
from toolchain.actions.lock import project_lock
from toolchain.digest import Digest
from toolchain.errors import CacheCorruptError, DiskFullError, ToolchainError
from toolchain.images.downloads import Downloads
from toolchain.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = make_layout(tmp_path)
    assert run(layout) == (EXPECTED, list(NAMES))
    return layout


def writable(path: Path) -> Path:
    path.chmod(0o600)
    return path


def flip(path: Path) -> None:
    data = bytearray(writable(path).read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").touch()


def replaced_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "cut in half": lambda path: os.truncate(writable(path), path.stat().st_size // 2),
    "empty": lambda path: os.truncate(writable(path), 0),
    "grown": lambda path: writable(path).write_bytes(path.read_bytes() + b"\0"),
    "zeros": lambda path: writable(path).write_bytes(bytes(path.stat().st_size)),
    "gone": Path.unlink,
    "a folder": replaced_by_folder,
    "a link elsewhere": replaced_by_link,
}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_output_is_made_again_and_nothing_else_is(
    layout: Layout, damage: str, place: int
) -> None:
    text = "".join(EXPECTED.decode().splitlines(keepends=True)[: place + 1]).encode()
    DAMAGES[damage](Store(layout.store).path(Digest.of_bytes(text)))
    output, ran = run(layout)
    assert output == EXPECTED
    assert ran == [NAMES[place]]
    assert run(layout) == (EXPECTED, [])


@pytest.mark.parametrize("kind", ["result", "history"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entries_are_made_again(layout: Layout, damage: str, kind: str) -> None:
    folder = "last" if kind == "history" else "[0-9a-f][0-9a-f]"
    entries = sorted(layout.actions.glob(f"{folder}/*.json"))
    assert len(entries) == 3
    for path in entries:
        DAMAGES[damage](path)
    if damage == "a folder" and kind == "result":
        # Nothing of ours makes one: it is told instead of being removed with what it holds.
        with pytest.raises(CacheCorruptError, match="cannot be used"):
            run(layout)
        return
    assert run(layout)[0] == EXPECTED
    assert run(layout) == (EXPECTED, [])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_download_is_not_used(tmp_path: Path, damage: str) -> None:
    downloads = Downloads(tmp_path / "downloads")
    (tmp_path / "source").write_bytes(b"fetched" * 100)
    digest = downloads.add(tmp_path / "source", "source")
    downloads.write_list("a" * 64, {"source": digest})
    DAMAGES[damage](downloads.path(digest))
    if damage == "a folder":
        assert not downloads.has(digest)
        return
    assert not downloads.is_intact(digest)
    assert downloads.read_list("a" * 64) is None


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "256k") as folder:
        yield folder


LARGE = b"x" * 1_000_000


def full_put_bytes(disk: Path, _: Path) -> None:
    Store(disk / "cas").put_bytes(LARGE)


def full_put_file(disk: Path, other: Path) -> None:
    (other / "large").write_bytes(LARGE)
    Store(disk / "cas").put_file(other / "large")


def full_take(disk: Path, other: Path) -> None:
    (other / "large").write_bytes(LARGE)
    Store(disk / "cas").put_file(other / "large", take=True)


def full_lay_out(disk: Path, other: Path) -> None:
    store = Store(other / "cas")
    store.lay_out(store.put_bytes(LARGE), disk / "laid out", is_executable=True)


def full_copy(disk: Path, other: Path) -> None:
    store = Store(other / "cas")
    store.copy_to(store.put_bytes(LARGE), disk / "copied")


def full_publish(disk: Path, other: Path) -> None:
    store = Store(other / "cas")
    publish(store, {P("out"): store.put_bytes(LARGE)}, disk / "build" / "board")


def full_result(disk: Path, _: Path) -> None:
    outputs = {P(f"{number:09}"): Digest("a" * 64, number) for number in range(5000)}
    cache = ActionCache(disk / "ac", Store(disk / "cas"), print)
    cache.put(Digest.of_bytes(b"x"), ActionResult(outputs, 1.0))


def exported(other: Path) -> tuple[Path, Store]:
    store = Store(other / "cas")
    cache = ActionCache(other / "ac", store, print)
    cache.put(Digest.of_bytes(b"x"), ActionResult({P("out"): store.put_bytes(LARGE)}, 1.0))
    return other / "ac", store


def full_export(disk: Path, other: Path) -> None:
    actions, store = exported(other)
    export_results(actions, store, disk / "export", print)


def full_import(disk: Path, other: Path) -> None:
    actions, store = exported(other)
    export_results(actions, store, other / "export", print)
    target = Store(disk / "cas")
    import_results(other / "export", ActionCache(disk / "ac", target, print), target, print)


def full_download(disk: Path, other: Path) -> None:
    (other / "large").write_bytes(LARGE)
    Downloads(disk / "downloads").add(other / "large", "large")


def full_run(disk: Path, other: Path) -> None:
    layout = Layout(other, disk / "cache")
    runner = Runner(layout, lambda: HostExecutor(layout, runner.store), RecordingReporter())
    with runner:
        runner.run([shell("large", "head -c 1000000 /dev/zero > $OUT/out")])


@pytest.mark.parametrize(
    "work",
    [
        *(full_put_bytes, full_put_file, full_take, full_lay_out, full_copy, full_publish),
        *(full_result, full_export, full_import, full_download, full_run),
    ],
)
def test_a_full_disk_is_told_and_leaves_nothing_half_made(
    disk: Path, tmp_path: Path, work: Callable[[Path, Path], None]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises((DiskFullError, OSError)) as caught:
        work(disk, other)
    if not isinstance(caught.value, ToolchainError):
        assert isinstance(caught.value, OSError)
        assert caught.value.errno == errno.ENOSPC
    left = [path for path in disk.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert all(Digest.of_file(path).sha256 == path.name for path in left), left
    # There is room again for what is small.
    store = Store(disk / "cas")
    assert store.get(store.put_bytes(b"small")) == b"small"


@pytest.fixture
def read_only(layout: Layout) -> Iterator[Layout]:
    cache = str(layout.cache)
    mounted = subprocess.run(
        ["mount", "--bind", "-o", "ro", cache, cache], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("not run: a folder can only be made read-only by a privileged root")
    try:
        yield layout
    finally:
        subprocess.run(["umount", "--lazy", cache], check=True)


def test_what_is_known_is_taken_from_a_read_only_cache(read_only: Layout) -> None:
    before = files_under(read_only.cache)
    assert run(read_only) == (EXPECTED, [])
    assert files_under(read_only.cache) == before


def put_a_blob(layout: Layout) -> object:
    return Store(layout.store).put_bytes(b"new")


def put_a_result(layout: Layout) -> object:
    cache = ActionCache(layout.actions, Store(layout.store), print)
    cache.put(Digest.of_bytes(b"new"), ActionResult({}, 1.0))
    return None


def run_a_step(layout: Layout) -> object:
    runner = Runner(layout, lambda: HostExecutor(layout, runner.store), RecordingReporter())
    with runner:
        return runner.run([shell("new", "echo new > $OUT/out")])


@pytest.mark.parametrize("work", [put_a_blob, put_a_result, run_a_step])
def test_what_is_new_is_refused_by_a_read_only_cache(
    read_only: Layout, work: Callable[[Layout], object]
) -> None:
    with pytest.raises((CacheCorruptError, OSError)) as caught:
        work(read_only)
    assert "Read-only" in str(caught.value)
    assert run(read_only) == (EXPECTED, [])


@pytest.mark.parametrize("days", [-20_000, -400, -2, 2, 400, 20_000])
def test_a_clock_that_jumps_takes_nothing_from_a_writer_and_loses_no_result(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    temporary = Store(layout.store).temporary
    of_this_process = temporary / f"{os.getpid()}-0123456789abcdef"
    of_a_dead_one = temporary / f"{2**22 + 1}-0123456789abcdef"
    for path in (of_this_process, of_a_dead_one):
        path.write_bytes(b"half")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * 86400)
    Store(layout.store).put_bytes(b"another")
    assert of_this_process.exists()
    assert of_a_dead_one.exists() == (days < 0)
    assert run(layout) == (EXPECTED, [])
    reporter = RecordingReporter()
    with project_lock(layout, reporter):
        keep_within_bound(layout, 1, reporter, {})
    assert run(layout) == (EXPECTED, [])
    assert reporter.warnings == []


@pytest.mark.parametrize("days", [-20_000, 20_000])
@pytest.mark.parametrize("what", ["entries", "blobs"])
def test_files_from_another_time_are_used(layout: Layout, what: str, days: int) -> None:
    moment = time.time() + days * 86400
    for path in (layout.actions if what == "entries" else layout.store).rglob("*"):
        os.utime(path, (max(moment, 0), max(moment, 0)))
    assert run(layout) == (EXPECTED, [])


@pytest.mark.parametrize("gone", ["cas", "ac", "cas and ac"])
def test_a_cache_that_goes_during_a_run_is_one_error_at_most(layout: Layout, gone: str) -> None:
    folders = " ".join(str(layout.cache / name) for name in gone.split(" and "))
    steps = [
        shell("wipe", f"rm -rf {folders}; echo x > $OUT/out"),
        shell("next", "cat in > $OUT/out", {P("in"): after("first"), P("x"): after("wipe")}),
        chain()[0],
    ]
    runner = Runner(layout, lambda: HostExecutor(layout, runner.store), RecordingReporter())
    lost = pytest.raises(CacheCorruptError, match=r"cannot be used|has gone")
    with runner, lost if "cas" in gone else contextlib.nullcontext():
        runner.run(steps)
    assert run(layout)[0] == EXPECTED
    assert run(layout) == (EXPECTED, [])
