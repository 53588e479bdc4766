from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simulator.picture import write_screen
from simulator.request import Screen


@st.composite
def screens(draw: st.DrawFn) -> Screen:
    width, height = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    size = 3 * width * height
    return Screen(width, height, draw(st.binary(min_size=size, max_size=size)))


@given(screens())
def test_the_picture_of_a_screen_has_its_very_pixels(
    tmp_path_factory: pytest.TempPathFactory, screen: Screen
) -> None:
    path = tmp_path_factory.mktemp("screen") / "folder" / "display.png"
    write_screen(path, screen)
    data = path.read_bytes()
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("PNG", (screen.width, screen.height))
        assert picture.tobytes() == screen.pixels
    write_screen(path, screen)
    assert path.read_bytes() == data
    assert list(path.parent.iterdir()) == [path]


def test_a_screen_that_cannot_be_drawn_leaves_the_picture_before_it(tmp_path: Path) -> None:
    path = tmp_path / "display.png"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match="not enough"):
        write_screen(path, Screen(2, 2, b"\x00" * 11))
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
