"""What a developer of the toolchain asks for."""

from __future__ import annotations

from tests.blackbox.support import TARGET, Checkout


def test_a_traceback_is_shown_to_those_who_ask_for_one(built: Checkout) -> None:
    done = built.invoke("build", "--model", "cosine", TOOLCHAIN_DEBUG="1")
    assert done.returncode == 29
    assert "Traceback (most recent call last)" in done.stderr
    assert "chosen_model" in done.stderr
    assert "error: there is no model 'cosine'" in done.stderr
    assert done.stdout == ""


def test_every_task_takes_debug_and_verbose(built: Checkout) -> None:
    done = built.invoke("build", "--model", "cosine", "--debug")
    assert done.returncode == 29
    assert "Traceback (most recent call last)" in done.stderr
    done = built.invoke("--verbose", "targets")
    assert done.returncode == 0, done.stderr
    assert "--verbose" in built.invoke("--help", "targets").stdout


def test_progress_is_folded_where_a_ci_can(built: Checkout) -> None:
    done = built.invoke("build", "--target", TARGET, GITHUB_ACTIONS="true")
    lines = done.stderr.splitlines()
    assert (lines[0], lines[-1]) == ("::group::steps", "::endgroup::")
    assert "  train sine: cached" in lines
    assert "::group::" not in done.stdout
