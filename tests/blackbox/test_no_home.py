"""Users without a home, as in a bare container or a service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, steps_run


def test_with_a_cache_named_no_home_is_needed(copy: Checkout) -> None:
    done = copy.invoke("build", "--target", TARGET, without=("HOME", "XDG_CACHE_HOME"))
    assert done.returncode == 0, done.stderr
    assert steps_run(done.stderr) == set()


@pytest.mark.parametrize("home", ["", "/nonexistent/home", "/dev/null"])
def test_a_home_that_is_none_is_not_looked_at(copy: Checkout, home: str) -> None:
    done = copy.invoke("build", "--target", TARGET, HOME=home)
    assert done.returncode == 0, done.stderr
    assert steps_run(done.stderr) == set()


def test_without_a_named_cache_it_is_in_the_home(copy: Checkout, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = copy.invoke(
        *("plan", "--target", TARGET),
        without=("TOOLCHAIN_CACHE", "XDG_CACHE_HOME"),
        HOME=str(home),
    )
    assert done.returncode == 0, done.stderr
    assert "train sine" in done.stdout
    left = {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}
    assert left <= {(".cache", "tinyml-toolchain")}
