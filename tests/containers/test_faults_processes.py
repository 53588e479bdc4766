"""Processes that are killed at any point, and many at once; sandboxes are the host's here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.faults_support import EXPECTED, NAMES, run
from toolchain.actions import Store
from toolchain.digest import Digest
from toolchain.layout import Layout

PROJECT = Path(__file__).parents[2]

_KILLED_RUN = """
import json, os, shutil, signal, sys
from pathlib import Path
from tests.unit import faults_support as faults
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


_ONE_OF_MANY = """
import sys
from pathlib import Path
from tests.unit import faults_support as faults
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
    blobs = list((layout.store / "sha256").glob("*/*"))
    assert len(blobs) >= len(NAMES)
    for path in blobs:
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
