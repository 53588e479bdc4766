"""Standard streams that the caller has closed, as some schedulers do."""

from __future__ import annotations

import pytest

from tests.blackbox.support import TARGET, Checkout


@pytest.mark.parametrize(
    ("closed", "results", "progress"),
    [
        ("<&-", True, True),
        (">&-", False, True),
        ("2>&-", True, False),
        ("<&- >&- 2>&-", False, False),
    ],
)
def test_a_closed_stream_takes_nothing_away_and_no_file_takes_its_place(
    built: Checkout, closed: str, results: bool, progress: bool
) -> None:
    before = built.outputs()
    shell = ["sh", "-c", f'"$@" {closed}', "sh", str(built.folder / "invoke")]
    done = built.invoke("build", "--target", TARGET, program=shell)
    assert done.returncode == 0, done.stderr
    assert ("hello_world.bin" in done.stdout) == results
    assert ("train sine: cached" in done.stderr) == progress
    assert built.outputs() == before


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_the_exit_code_is_there_when_nothing_can_be_said(built: Checkout, closed: str) -> None:
    shell = ["sh", "-c", f'"$@" {closed}', "sh", str(built.folder / "invoke")]
    done = built.invoke("build", "--target", "nowhere", program=shell)
    assert done.returncode == 10
    assert done.stdout == ""
