from __future__ import annotations

import io
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from toolchain.commands import test as module
from toolchain.commands.test import _first_failure, _install_programs, run_tests
from toolchain.console import PlainReporter
from toolchain.engine import host_packages


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([0, 0, 0], 0),
        ([0, 1, 0], 1),
        ([2, 0, 1], 2),
        ([0, 5], 0),
        ([5, 1], 1),
        ([5, 5], 5),
    ],
)
def test_the_first_failure_counts_and_no_test_at_all_is_one(codes: list[int], code: int) -> None:
    assert _first_failure(codes) == code


def test_a_report_for_ci_hosts_has_each_test_that_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_UNIT", ("tests/unit/test_commands_test.py",))
    reporter = PlainReporter(io.StringIO())
    code = run_tests(reporter, fast=True, select="first_failure", reports=tmp_path / "made")
    assert code == 0
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["unit.xml"]
    root = ET.parse(tmp_path / "made" / "unit.xml").getroot()
    names = [case.attrib["name"] for case in root.iter("testcase")]
    assert len(names) == 6
    assert all(name.startswith("test_the_first_failure_counts") for name in names)


@pytest.mark.parametrize(
    ("there", "allowed", "wanted"),
    [
        (("chromium", "zsh", "fish"), True, []),
        (("google-chrome", "zsh", "fish"), True, []),
        (("zsh",), True, ["chromium", "fish"]),
        ((), False, []),
    ],
)
def test_programs_that_tests_need_are_installed_where_they_are_missing(
    there: tuple[str, ...],
    allowed: bool,
    wanted: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in there:
        (tmp_path / name).touch(0o755)
    asked: list[str] = []

    def install(packages: list[str], *_: object) -> str:
        asked.extend(packages)
        return "E: no such package"

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host_packages, "may_install", lambda _environ: allowed)
    monkeypatch.setattr(host_packages, "install_packages", install)
    heard = io.StringIO()
    _install_programs(PlainReporter(heard))
    assert asked == wanted
    assert ("some tests are not run" in heard.getvalue()) == bool(wanted)
