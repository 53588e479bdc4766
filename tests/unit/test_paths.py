"""Paths as users type them, and those of files to be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from toolchain.errors import UsageError
from toolchain.layout import CACHE_VARIABLE, project_layout
from toolchain.model_choice import chosen_model
from toolchain.paths import output_path, user_path


def test_a_path_is_taken_from_the_folder_of_the_command_and_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("a/b") == tmp_path / "a/b"
    assert user_path("~/b") == Path("/home/me/b")


def test_what_is_no_path_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("~nobody_here/x", "a\0b"):
        with pytest.raises(UsageError):
            user_path(text)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="relative to a folder that is not there"):
        user_path("x")


def test_an_unknown_home_is_refused_wherever_a_path_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UsageError, match=r"whose home ~nobody_here/x\.tflite begins with"):
        chosen_model("~nobody_here/x.tflite")
    monkeypatch.setenv(CACHE_VARIABLE, "~nobody_here/cache")
    with pytest.raises(UsageError, match="whose home"):
        project_layout()


def test_a_file_to_be_written_may_be_new_or_old_and_stands_for_what_it_leads_to(
    tmp_path: Path,
) -> None:
    old, link = tmp_path / "old.html", tmp_path / "link.html"
    old.write_text("")
    link.symlink_to(old)
    assert output_path("--html", str(old)) == old
    assert output_path("--html", str(link)) == old
    assert output_path("--html", str(tmp_path / "a/b/new.html")) == tmp_path / "a/b/new.html"


def test_nothing_takes_the_place_of_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    for place, reason in {
        "/": "it is a folder",
        str(tmp_path): "it is a folder",
        "/dev/null": "it is there, and no file",
        str(tmp_path / "pipe"): "it is there, and no file",
        str(tmp_path / "file/below/page.html"): "file is no folder",
        str(tmp_path / ("x" * 300)): "File name too long",
    }.items():
        with pytest.raises(UsageError, match=f"--html: .* cannot be written: .*{reason}"):
            output_path("--html", place)
