"""Room for an image."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toolchain.disk import require_space, says_disk_full
from toolchain.errors import DiskFullError
from toolchain.images.definition import KINDS
from toolchain.images.ensure import NEEDED_BYTES


def test_room_enough_is_no_error(tmp_path: Path) -> None:
    require_space([tmp_path, tmp_path / "not" / "there"], 1, "a test")
    require_space([], 10**18, "a test")


@pytest.mark.parametrize("place", [".", "not/there/yet"])
def test_too_little_room_is_told_with_both_sizes(tmp_path: Path, place: str) -> None:
    needed = shutil.disk_usage(tmp_path).free + 5 * 10**12
    with pytest.raises(DiskFullError) as caught:
        require_space([tmp_path / place], needed, "making the cross image")
    assert caught.value.what.startswith("making the cross image needs ")
    assert f"needs {needed / 1e9:.1f} GB" in caught.value.what
    assert str(tmp_path) in caught.value.what
    assert "TOOLCHAIN_CACHE" in caught.value.next_step
    assert caught.value.exit_code == 16


def test_every_kind_of_image_has_its_need() -> None:
    assert set(NEEDED_BYTES) == set(KINDS)


@pytest.mark.parametrize(
    "said",
    [
        "write /x: no space left on device",
        "OSError: [Errno 28] No space left on device: '/out/x'",
        "E: You don't have enough free space in /out/.",
        "npm ERR! code ENOSPC",
    ],
)
def test_a_full_disk_is_recognised(said: str) -> None:
    assert says_disk_full(said)
    assert not says_disk_full("After this operation, 3 MB of additional disk space will be used.")
