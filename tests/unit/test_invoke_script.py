"""The script ``invoke``: what it makes of its words, before any Python of ours is started."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.commands_support import PROJECT

# Says what it is started with: the bundle, and the words that follow the checkout.
PYTHON = """#!/bin/sh
echo "bundle=${TOOLCHAIN_BUNDLE:-}"
shift 4
printf '<%s>' "$@"
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TOOLCHAIN_BUNDLE", raising=False)
    python = tmp_path / ".venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    for place in (tmp_path, tmp_path / ".venv"):
        (place / "requirements.lock").write_text("")
    return Path(shutil.copy(PROJECT / "invoke", tmp_path))


def started(script: Path, *words: str) -> tuple[str, str]:
    """Return the bundle and the words with which Python is started."""
    done = subprocess.run([script, *words], capture_output=True, text=True, check=True)
    bundle, _, given = done.stdout.partition("\n")
    return bundle.removeprefix("bundle="), given


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("remote", "up", "--port", "1"), "<remote-up><--port><1>"),
        (("--verbose", "cache", "export", "a b"), "<--verbose><cache-export><a b>"),
        (("--help", "remote", "token"), "<--help><remote-token>"),
        (("cache",), "<cache>"),
        (("cache", "--json"), "<cache><--json>"),
        (("remote", "nothing"), "<remote><nothing>"),
        (("build", "--model", "remote", "up"), "<build><--model><remote><up>"),
        (("build", "", "a\nb", "*"), "<build><><a\nb><*>"),
    ],
)
def test_a_task_of_two_words_is_one_wherever_the_task_stands(
    script: Path, words: tuple[str, ...], given: str
) -> None:
    assert started(script, *words)[1] == given


@pytest.mark.parametrize(
    ("words", "bundle"),
    [
        (("build", "--bundle", "a b.tar"), "a b.tar"),
        (("--verbose", "build", "--target", "x", "--bundle=b.tar"), "b.tar"),
        (("doctor", "--bundle", "report.zip"), ""),
        (("doctor", "--bundle=report.zip"), ""),
    ],
)
def test_only_a_build_names_a_bundle_to_take_packages_from(
    script: Path, words: tuple[str, ...], bundle: str
) -> None:
    assert started(script, *words)[0] == bundle
