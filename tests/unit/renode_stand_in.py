"""A stand-in for the program Renode: it takes our command line and writes what a test gives it.

It is for the handling of the process only, and knows nothing of firmwares.
"""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain.renode import run as runner
from toolchain.renode.program import Program

STAND_IN = """#!{python}
import hashlib, os, re, signal, subprocess, sys, time
commands = [sys.argv[i + 1] for i, each in enumerate(sys.argv) if each == "-e"]
options = [each for each in sys.argv[1:] if each.startswith("--")]
assert options == ["--console", "--plain", "--disable-gui", "--config"], options
found = [re.fullmatch(r"sysbus\\.uart0 CreateFileBackend @(\\S+) true", each) for each in commands]
(console,) = [each[1] for each in found if each]
(image,) = [each[6:] for each in commands if each.startswith("$bin=@")]
(script,) = [each[9:] for each in commands if each.startswith("include @")]
(log,) = [each.split("@")[1].split()[0] for each in commands if each.startswith("logFile @")]
assert os.path.isfile(script) and commands[-1] == "start"
with open(os.environ["STAND_IN_NOTES"], "a") as notes:
    notes.write("%d %s\\n" % (os.getpid(), open(image, "rb").read().hex()))
{behaviour}
"""

SPEAK = """
with open(log, "w") as file:
    file.write("[INFO] pins: LED red: 250 of 1000\\n[INFO] pins: LED red: 750 of 1000\\n")
with open(console, "wb", buffering=0) as file:
    says = os.environ["STAND_IN_SAYS"]
    if os.path.isdir(says):
        says = os.path.join(says, hashlib.sha256(open(image, "rb").read()).hexdigest())
    said = open(says, "rb").read()
    for at in range(0, len(said), 37):
        file.write(said[at : at + 37])
"""
UNTIL_QUIT = """
for line in sys.stdin:
    if line.strip() == "quit":
        break
"""
STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
with open(os.environ["STAND_IN_NOTES"], "a") as notes:
    notes.write("%d child\\n" % child.pid)
while True:
    time.sleep(60)
"""

Start = Callable[..., Program]


def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Return what makes a stand-in that behaves so, and says so."""
    monkeypatch.setattr(runner, "_QUIT_SECONDS", 1.0)

    def make(behaviour: str, says: str = "") -> Program:
        program = tmp_path / "renode"
        program.write_text(STAND_IN.format(python=sys.executable, behaviour=behaviour))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        (tmp_path / "says").write_bytes(says.encode("latin-1"))
        monkeypatch.setenv("STAND_IN_SAYS", str(tmp_path / "says"))
        monkeypatch.setenv("STAND_IN_NOTES", str(tmp_path / "notes"))
        return Program(str(program))

    return make
