"""Results on standard output, everything else on standard error; and where they lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, failed


def test_results_go_to_standard_output_and_progress_to_standard_error(built: Checkout) -> None:
    done = built.invoke("build", "--target", TARGET)
    assert "  train sine: cached\n" in done.stderr
    assert "cached" not in done.stdout
    assert "sha256" in done.stdout
    assert "sha256" not in done.stderr
    quiet = built.invoke("build", "--target", TARGET, "--quiet")
    assert quiet.stderr == ""
    assert "next:" not in quiet.stdout
    assert done.stdout.startswith(quiet.stdout)


def test_a_result_that_cannot_be_written_is_one_error(built: Checkout) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("not run: this system has no /dev/full")
    shell = ["sh", "-c", '"$@" > /dev/full', "sh", str(built.folder / "invoke")]
    said = failed(built.invoke("build", program=shell), 9)
    assert "the result cannot be written to standard output: No space left on device" in said


def test_a_reader_that_has_seen_enough_is_no_error(built: Checkout) -> None:
    script = '"$@" | head -n 1; echo "${PIPESTATUS[0]}" >&2'
    shell = ["bash", "-c", script, "bash", str(built.folder / "invoke")]
    done = built.invoke("simulate", "--lines", "1000", "--inferences", "3000", program=shell)
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    assert done.stderr.splitlines()[-1] in {"0", "141"}
