"""A process that is killed, at every point where it touches the file system, leaves old or new.

A driver forks a child for each point; the child counts Python's audit events (opening, making,
renaming, removing, chmod and so on) and kills itself, as ``kill -9`` would, at the chosen one.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_DRIVER = '''
import json, os, shutil, signal, sys
from pathlib import Path, PurePosixPath as P
from toolchain.actions.action_cache import ActionCache, ActionResult
from toolchain.actions.publication import publish
import toolchain.actions.publication as module
from toolchain.actions.store import Store
from toolchain.digest import Digest

WATCHED = ("open", "os.", "shutil.", "ctypes.dlsym")

def die_at(count):
    left = [count]
    def hook(event, _arguments):
        if event.startswith(WATCHED):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

def kill_at(count, work):
    """Return whether ``work`` came to its end in a child that dies at its event ``count``."""
    child = os.fork()
    if child == 0:
        try:
            die_at(count)
            work()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        return True
    return False

def states(make, work, check):
    """Kill ``work`` at its first, second, ... event until it survives; return what was seen."""
    seen, survived = [], False
    while not survived:
        make()
        survived = kill_at(len(seen) + 1, work)
        seen.append(check())
    return seen

root = Path(sys.argv[1])
kind = sys.argv[2]
store = Store(root / "cas")
'''

_PUBLISH = """
if kind == "fallback":
    module._exchange = lambda one, other: False
old = {P("a"): store.put_bytes(b"old a"), P("d/b"): store.put_bytes(b"old b")}
new = {P("a"): store.put_bytes(b"new a"), P("d/c"): store.put_bytes(b"new c")}
folder = root / "build" / "board"

def make():
    # Anew each time: clearing away what the last child left would shift the events.
    shutil.rmtree(folder.parent, ignore_errors=True)
    publish(store, old, folder)

def found():
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}

names = {
    json.dumps({"a": "old a", "d/b": "old b"}): "old",
    json.dumps({"a": "new a", "d/c": "new c"}): "new",
    "{}": "none",
}

def check():
    return names.get(json.dumps(found(), sort_keys=True), "HALF")

seen = states(make, lambda: publish(store, new, folder), check)
killed_in_the_middle = seen.index("new") - 1
make()
kill_at(killed_in_the_middle, lambda: publish(store, new, folder))
left = [path.name for path in folder.parent.iterdir() if path != folder]
assert left
publish(store, new, folder)
assert check() == "new"
left = sorted(path.name for path in folder.parent.iterdir())
print(json.dumps({"seen": seen, "left": left}))
"""

_PUT = """
data = b"x" * 3_000_000
digest = Digest.of_bytes(data)
source = root / "source"
cache = ActionCache(root / "ac", store, print)
action = Digest.of_bytes(b"action")
result = ActionResult({P("out"): digest}, 1.0)

def make():
    shutil.rmtree(root / "cas", ignore_errors=True)
    shutil.rmtree(root / "ac", ignore_errors=True)
    source.write_bytes(data)

def work():
    Store(root / "cas").put_file(source, take=kind == "take")
    cache.put(action, result)

def check():
    reports = []
    fresh = Store(root / "cas", reports.append)
    known = ActionCache(root / "ac", fresh, reports.append).get(action, [P("out")])
    if reports:
        return "CORRUPT " + reports[0]
    return ("blob" if fresh.contains(digest) else "no blob") + (", known" if known else "")

print(json.dumps({"seen": states(make, work, check)}))
"""


def _drive(folder: Path, kind: str, code: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _DRIVER + code, str(folder), kind],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize("kind", ["exchange", "fallback"])
def test_publish_killed_anywhere(tmp_path: Path, kind: str) -> None:
    result = _drive(tmp_path, kind, _PUBLISH)
    seen = result["seen"]
    assert len(seen) > 20
    # Two renames have a moment without the folder between them; one exchange has none.
    assert set(seen) == ({"old", "new"} if kind == "exchange" else {"old", "none", "new"})
    assert seen == sorted(seen, key=["old", "none", "new"].index)
    assert result["left"] == ["board"]


@pytest.mark.parametrize("kind", ["copy", "take"])
def test_put_killed_anywhere(tmp_path: Path, kind: str) -> None:
    seen = _drive(tmp_path, kind, _PUT)["seen"]
    assert len(seen) > 10
    assert set(seen) == {"no blob", "blob", "blob, known"}
    assert seen == sorted(seen, key=["no blob", "blob", "blob, known"].index)
