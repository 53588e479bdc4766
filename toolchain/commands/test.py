"""Sets up what the tests need and runs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from toolchain.console import Reporter
from toolchain.errors import EngineUnavailableError
from toolchain.extra_packages import require_packages
from toolchain.layout import project_layout
from toolchain.pins import TEST_LOCK

REQUIRE_DOCKER_VARIABLE = "TOOLCHAIN_REQUIRE_DOCKER"
"""When ``1``, a missing engine is a failure; otherwise the tests that need one are skipped."""

_UNIT = ("-n", "auto", "tests/unit")
_WITH_DOCKER = (
    # One test after another leaves two processors idle two fifths of the time. A file stays
    # together, so that what its tests share is made once.
    *("-n", "auto", "--maxprocesses", "2", "--dist", "loadfile"),
    *("tests/containers", "tests/firmware", "tests/blackbox"),
)

_PROGRAMS: Mapping[str, tuple[str, ...]] = {
    "chromium": ("chromium", "google-chrome"),
    "zsh": ("zsh",),
    "fish": ("fish",),
}
"""Debian's packages that tests of pages and completion need, and programs of which one will do."""

_NO_TESTS = 5
"""pytest's exit code when nothing was selected."""

_RUFF = (("ruff", "check", "--quiet", "."), ("ruff", "format", "--quiet", "--check", "."))
_MYPY = (
    *("mypy", "--no-error-summary"),
    *("toolchain", "simulator", "model", "tests", "benchmarks", "tasks.py"),
)


def run_tests(reporter: Reporter, *, fast: bool, select: str, reports: Path | None = None) -> int:
    """Run the static checks and the tests; return the exit code of the first that failed.

    Args:
        reporter: told what goes on.
        fast: ruff and the unit tests only; no engine is looked for.
        select: pytest's ``-k``; static checks are left out when it is given.
        reports: folder for ``unit.xml`` and ``docker.xml``, in JUnit's form, of the tests that need
            no Docker and the others; None for none.

    Raises:
        UsageError: the test requirements are not installed and this is no environment of ours.
        EngineUnavailableError: no engine, and the variable above asks for one.
    """
    require_test_packages(reporter)
    chosen = ["-k", select] if select else []
    checks = [] if select else [*_RUFF, *(() if fast else (_MYPY,))]
    codes = [_run(check, {}) for check in checks]
    if fast:
        return _first_failure(
            [*codes, _run(("pytest", *chosen, *_report(reports, "unit"), *_UNIT), {})]
        )
    with ExitStack() as stack:
        extra: dict[str, str] = {}
        try:
            from toolchain.engine import open_engine

            engine = stack.enter_context(open_engine(project_layout(), reporter))
            # The tests and every command that they start share this engine.
            extra["DOCKER_HOST"] = engine.address.url
            if not select:
                _install_programs(reporter)
        except EngineUnavailableError as error:
            if os.environ.get(REQUIRE_DOCKER_VARIABLE) == "1":
                raise
            reporter.warning(f"container and firmware tests are not run: {error}")
        # Apart, because unit tests are spread one by one and the others by file.
        codes += [
            _run(("pytest", *chosen, *_report(reports, name), *tests), extra)
            for name, tests in (("unit", _UNIT), ("docker", _WITH_DOCKER))
        ]
    return _first_failure(codes)


def _install_programs(reporter: Reporter) -> None:
    """Install what some tests need where that is allowed; without it they are told as not run."""
    from toolchain.engine.host_packages import install_packages, may_install

    missing = [package for package, names in _PROGRAMS.items() if not any(map(shutil.which, names))]
    if not missing or not may_install(os.environ):
        return
    problem = install_packages(
        missing, "because tests of pages and completion need them", reporter, os.environ
    )
    if problem:
        reporter.warning(f"some tests are not run: apt could not install what they need\n{problem}")


def _report(folder: Path | None, name: str) -> tuple[str, ...]:
    return () if folder is None else (f"--junit-xml={folder / name}.xml",)


def _run(arguments: Sequence[str], extra: dict[str, str]) -> int:
    project = project_layout().project
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=project, env=os.environ | extra, check=False).returncode


def _first_failure(codes: Sequence[int]) -> int:
    """Return the first code that is no success; one of several runs may have had no tests."""
    failures = [code for code in codes if code not in {0, _NO_TESTS}]
    if failures:
        return failures[0]
    return 0 if 0 in codes else _NO_TESTS


def require_test_packages(reporter: Reporter) -> None:
    """Install the test requirements into ``.venv`` unless they are there.

    Raises:
        UsageError: they are missing in an environment that is not ours.
        ToolchainError: they cannot be installed.
    """
    require_packages(TEST_LOCK, "hypothesis", reporter)
