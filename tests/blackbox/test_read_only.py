"""Folders that may be read only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, failed, sha256

pytestmark = pytest.mark.usefixtures("may_mount")


def read_only(folder: Path, checkout: Checkout) -> Sequence[str]:
    """Return the beginning of a command line for which nothing in ``folder`` can be written."""
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(folder), str(checkout.folder / "invoke")]


def test_a_checkout_on_a_read_only_medium_is_looked_at_and_planned(copy: Checkout) -> None:
    program = read_only(copy.folder, copy)
    for command in (("targets",), ("plan", "--target", TARGET), ("--list",)):
        done = copy.invoke(*command, program=program)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    said = failed(copy.invoke("build", "--target", TARGET, program=program), 9)
    assert str(copy.folder / "build") in said
    assert "Read-only file system" in said
    assert copy.outputs() == {}


def test_outputs_that_may_not_be_written_stay_as_they_are(copy: Checkout) -> None:
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    before = copy.outputs()
    copy.touch_firmware()
    program = read_only(copy.folder / "build", copy)
    said = failed(copy.invoke("build", "--target", TARGET, program=program), 9)
    assert "Read-only file system" in said
    assert copy.outputs() == before
    # The work was not in vain.
    done = copy.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert " s\n" not in done.stderr
    assert copy.outputs() != before


def test_outputs_that_are_up_to_date_need_no_writing(copy: Checkout) -> None:
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    program = read_only(copy.folder / "build", copy)
    done = copy.invoke("build", "--target", TARGET, program=program)
    assert done.returncode == 0, done.stderr
    assert sha256(copy.output / "hello_world.bin") in done.stdout


def test_a_cache_that_may_not_be_written_is_one_error_that_names_another_place(
    lone_copy: Checkout,
) -> None:
    program = read_only(lone_copy.cache, lone_copy)
    lone_copy.touch_firmware()
    said = failed(lone_copy.invoke("build", "--target", TARGET, program=program), 9)
    assert str(lone_copy.cache) in said
    assert "TOOLCHAIN_CACHE" in said
    assert lone_copy.outputs() == {}
