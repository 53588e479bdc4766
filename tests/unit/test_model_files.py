from __future__ import annotations

import io
import json
import os
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.files import json_text, unzip, write_file, zip_bytes

NAMES = st.text("abcdefgh/.", min_size=1, max_size=8).filter(lambda name: not name.endswith("/"))


def test_a_file_is_written_whole_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_file(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    write_file(path, b"\0\r\n")
    assert path.read_bytes() == b"\0\r\n"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


def test_a_written_file_can_be_read_by_everyone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_file(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@pytest.mark.parametrize("method", ["chmod", "replace"])
def test_a_file_that_cannot_be_finished_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, method, fail)
    with pytest.raises(OSError, match="disk full"):
        write_file(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_file(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


@given(st.dictionaries(NAMES, st.binary(max_size=50), max_size=5))
def test_members_of_an_archive_are_read_back(members: dict[str, bytes]) -> None:
    assert unzip(zip_bytes(members)) == members


def test_an_archive_depends_on_its_members_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    members = {"b": b"2", "a": b"1"}
    data = zip_bytes(members)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert zip_bytes(dict(reversed(members.items()))) == data
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert [each.filename for each in archive.infolist()] == ["a", "b"]
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {each.create_system for each in archive.infolist()} == {3}
        assert {each.compress_type for each in archive.infolist()} == {zipfile.ZIP_STORED}
    assert zip_bytes({"b": b"2", "a": b"3"}) != data


@given(
    st.dictionaries(
        st.sampled_from(["schema", "seed", "loss", "name"]),
        st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.lists(st.floats(0, 1)),
    )
)
def test_json_is_read_back_in_full_precision(fields: dict[str, object]) -> None:
    text = json_text(fields)
    assert json.loads(text) == fields
    assert json_text(dict(reversed(fields.items()))) == text
    assert text.endswith("\n")


def test_json_has_one_member_a_line() -> None:
    assert json_text({"b": [1, 2], "a": {"z": 1, "y": None}}) == (
        '{\n  "a": {"y": null, "z": 1},\n  "b": [1, 2]\n}\n'
    )


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_an_error(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text({"loss": number})
