"""Faults put into the cache and into what uses it: whatever happens, the next run gives the same.

Each case damages, fills, locks or kills something real. Sandboxes are the host's here; the same
faults with containers are in ``tests/containers/test_faults_engine.py``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
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
from toolchain.actions import OutputOf, Runner, Step, Store, publish
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.bound import keep_within_bound
from toolchain.actions.exchange import export_results, import_results
from toolchain.actions.lock import project_lock
from toolchain.digest import Digest
from toolchain.errors import CacheCorruptError, DiskFullError, ToolchainError
from toolchain.images.downloads import Downloads
from toolchain.layout import Layout

PROJECT = Path(__file__).parents[2]
NAMES = ("first", "second", "third")


def chain() -> list[Step]:
    return [
        shell("first", "echo one > $OUT/out"),
        shell("second", "cat in > $OUT/out; echo two >> $OUT/out", {P("in"): after("first")}),
        shell("third", "cat in > $OUT/out; echo three >> $OUT/out", {P("in"): after("second")}),
    ]


def after(name: str) -> OutputOf:
    return OutputOf(name, P("out"))


EXPECTED = b"one\ntwo\nthree\n"


def run(layout: Layout, reporter: RecordingReporter | None = None) -> tuple[bytes, list[str]]:
    """Run the chain; return what it came to and which steps ran."""
    runner = Runner(
        layout, lambda: HostExecutor(layout, runner.store), reporter or RecordingReporter()
    )
    with runner:
        results = runner.run(chain())
        ran = [name for name in NAMES if not results[name].cached]
        return runner.store.get(results["third"].outputs[P("out")]), ran


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


_KILLED_RUN = """
import json, os, shutil, signal, sys
from pathlib import Path
from tests.unit import test_faults_cache as faults
from tests.unit.actions_support import HostExecutor, RecordingReporter
from toolchain.actions import Runner, Store
from toolchain.actions.action_cache import ActionCache
from toolchain.actions.history import History
from toolchain.actions.sandbox import Sandbox
from toolchain.layout import Layout

root = Path(sys.argv[1])
layout = Layout(root / "project", root / "cache")
left = [0]

def boundary():
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def watch(owner, name):
    was = getattr(owner, name)
    def watched(*arguments, **options):
        boundary()
        result = was(*arguments, **options)
        boundary()
        return result
    setattr(owner, name, watched)

for owner, name in (
    (Sandbox, "lay_out"), (Sandbox, "collect"), (Sandbox, "remove"), (HostExecutor, "run"),
    (ActionCache, "put"), (History, "remember"),
):
    watch(owner, name)

seen, killed = [], True
while killed:
    shutil.rmtree(root, ignore_errors=True)
    layout.project.mkdir(parents=True)
    child = os.fork()
    if child == 0:
        left[0] = len(seen) + 1
        faults.run(layout)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    left[0] = 0
    known = [
        name for name in faults.NAMES
        if len(list(layout.actions.glob("[0-9a-f][0-9a-f]/*.json"))) > faults.NAMES.index(name)
    ]
    output, ran = faults.run(layout)
    again = faults.run(layout)[1]
    seen.append({"known": known, "output": output.decode(), "ran": ran, "again": again})
print(json.dumps(seen))
"""

BOUNDARIES = 36
"""Six functions, begun and ended, of three steps."""


@pytest.fixture(scope="module")
def killed_runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """What came of a run that was killed at its first, second, ... boundary."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_RUN, str(tmp_path_factory.mktemp("killed"))],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    assert len(found) == BOUNDARIES + 1
    return found


@pytest.mark.parametrize("boundary", range(BOUNDARIES))
def test_a_run_that_is_killed_at_a_steps_boundary_is_continued(
    killed_runs: list[dict[str, object]], boundary: int
) -> None:
    found = killed_runs[boundary]
    known = found["known"]
    assert isinstance(known, list)
    assert found["output"] == EXPECTED.decode()
    # What was finished is kept, and nothing else is believed.
    assert found["ran"] == [name for name in NAMES if name not in known]
    assert found["again"] == []


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


_ONE_OF_MANY = """
import sys
from pathlib import Path
from tests.unit import test_faults_cache as faults
from tests.unit.actions_support import RecordingReporter
from toolchain.actions import project_lock
from toolchain.layout import Layout
layout = Layout(Path(sys.argv[1]), Path(sys.argv[2]))
sys.stdin.readline()
with project_lock(layout, RecordingReporter()):
    output, ran = faults.run(layout)
assert output == faults.EXPECTED
print(*ran)
"""


@pytest.mark.parametrize("number", [2, 8])
@pytest.mark.parametrize("where", ["one checkout", "checkouts of their own"])
def test_many_builds_at_once_give_the_same(tmp_path: Path, number: int, where: str) -> None:
    projects = [
        tmp_path / ("project" if where == "one checkout" else f"project {index}")
        for index in range(number)
    ]
    processes = []
    for project in projects:
        project.mkdir(exist_ok=True)
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", _ONE_OF_MANY, str(project), str(tmp_path / "cache")],
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0] * number, said
    ran = sorted(output.split() for output, _ in said)
    if where == "one checkout":
        assert ran == [[]] * (number - 1) + [list(NAMES)]
    layout = Layout(projects[0], tmp_path / "cache")
    assert run(layout) == (EXPECTED, [])
    for path in (layout.store / "sha256").glob("*/*"):
        assert Digest.of_file(path).sha256 == path.name
    assert list(Store(layout.store).temporary.iterdir()) == []


_KILLED_EXCHANGE = """
import json, os, shutil, signal, sys, time
from pathlib import Path, PurePosixPath as P
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.bound import shrink
from toolchain.actions.exchange import export_results, import_results
from toolchain.actions.store import Store
from toolchain.digest import Digest
from toolchain.layout import Layout

root, kind = Path(sys.argv[1]), sys.argv[2]
WATCHED = ("open", "os.", "shutil.")

class Machine:
    def __init__(self, folder):
        self.layout = Layout(folder, folder)
        self.said = []
        self.store = Store(self.layout.store, self.said.append)
        self.cache = ActionCache(self.layout.actions, self.store, self.said.append)

def fill(machine):
    for name in ("a", "b"):
        outputs = {P("out"): machine.store.put_bytes(name.encode() * 50_000),
                   P("both"): machine.store.put_bytes(b"both" * 1000)}
        machine.cache.put(Digest.of_bytes(name.encode()), ActionResult(outputs, 1.0))

def make():
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    one = Machine(root / "one")
    fill(one)
    if kind == "import":
        export_results(one.layout.actions, one.store, root / "export", print)

def work():
    one, other = Machine(root / "one"), Machine(root / "other")
    if kind == "export":
        export_results(one.layout.actions, one.store, root / "export", print)
    elif kind == "import":
        import_results(root / "export", other.cache, other.store, print)
    else:
        shrink(one.layout, 80_000, time.time() + 10)

def results(machine):
    found = [machine.cache.get(Digest.of_bytes(name), None) for name in (b"a", b"b")]
    assert machine.said == [], machine.said
    return sum(result is not None for result in found)

def check():
    if kind == "export":
        if not (root / "export").exists():
            return 0
        other = Machine(root / "check")
        done = import_results(root / "export", other.cache, other.store, other.said.append)
        assert done.refused == 0
        return results(other)
    return results(Machine(root / ("other" if kind == "import" else "one")))

seen, survived = [], False
while not survived:
    make()
    child = os.fork()
    if child == 0:
        left = [len(seen) + 1]
        def hook(event, _):
            if event.startswith(WATCHED):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hook)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    survived = os.WIFEXITED(status)
    assert not survived or os.WEXITSTATUS(status) == 0
    seen.append(check())
    work()
    final = check()
    assert final == (1 if kind == "shrink" else 2), (seen, final)
print(json.dumps(seen))
"""


@pytest.mark.parametrize("kind", ["export", "import", "shrink"])
def test_sharing_and_shrinking_killed_anywhere_leave_sound_results(
    tmp_path: Path, kind: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED_EXCHANGE, str(tmp_path / "root"), kind],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert len(seen) >= 10
    # An export is there as a whole; results come one after the other, and go so.
    expected = {"export": {0, 2}, "import": {0, 1, 2}, "shrink": {2, 1}}
    assert set(seen) == expected[kind]
    assert seen == sorted(seen, reverse=kind == "shrink")


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
