"""What is told while something is fetched."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.images import progress
from toolchain.images.definition import KINDS
from toolchain.images.inputs import FETCH_BYTES
from toolchain.images.progress import Progress, size_of, told


def test_what_is_known_is_told_and_nothing_else() -> None:
    assert told(12_000_000, 0, 0.0) == "12 MB"
    assert told(12_000_000, 400_000_000, 0.0) == "12 of about 400 MB"
    assert told(100_000_000, 400_000_000, 10e6) == "100 of about 400 MB, about 30 s left"
    assert told(410_000_000, 400_000_000, 10e6) == "410 MB"


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.floats(0, 1e9))
def test_no_negative_time_is_ever_left(arrived: int, expected: int, rate: float) -> None:
    assert "-" not in told(arrived, expected, rate)


def test_the_size_of_a_folder_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").write_bytes(bytes(1000))
    (tmp_path / "d").write_bytes(bytes(24))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert size_of(tmp_path) - (tmp_path / "link").lstat().st_size == 1024
    assert size_of(tmp_path / "missing") == 0


def test_a_line_is_told_until_bytes_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LOOK_SECONDS", 0.01)
    heard: list[str] = []
    line, arrived = threading.Event(), threading.Event()

    def update(text: str) -> None:
        heard.append(text)
        (arrived if text.endswith("MB") else line).set()

    fetched = tmp_path / "fetched"
    fetched.mkdir()
    (fetched / "here already").write_bytes(bytes(5_000_000))
    # Put there whole: half of a file that is being written would be told, too.
    (tmp_path / "new").write_bytes(bytes(3_000_000))
    watch = Progress(fetched, 10_000_000, update)
    watch.said("Get:1 something")
    with watch.watched():
        assert line.wait(60)
        (tmp_path / "new").rename(fetched / "new")
        assert arrived.wait(60)
    assert heard[0] == "Get:1 something"
    assert heard[-1] == "8 of about 10 MB"


def test_every_image_says_how_much_is_fetched() -> None:
    assert set(FETCH_BYTES) == set(KINDS)
