from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from toolchain.cli.failure import system_failure
from toolchain.errors import DiskFullError, ToolchainError


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_a_full_disk_with_or_without_a_file(number: int) -> None:
    for names in ((), ("/some/file",)):
        failure = system_failure(OSError(number, os.strerror(number), *names))
        assert isinstance(failure, DiskFullError)
        assert ("/some/file" in str(failure)) == bool(names)


def test_a_refused_file_is_named_with_what_the_system_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError) as caught:
        (tmp_path / "file" / "below").mkdir()
    failure = system_failure(caught.value)
    assert type(failure) is ToolchainError
    assert str(failure).startswith(f"{tmp_path}/file/below cannot be used: Not a directory")


def test_names_that_are_bytes_are_shown_as_text() -> None:
    failure = system_failure(OSError(errno.EACCES, "no", b"/caf\xc3\xa9"))
    assert "/café cannot be used: Permission denied" in str(failure)


@pytest.mark.parametrize("error", [OSError("no number"), OSError(errno.EPIPE, "pipe"), OSError()])
def test_what_names_no_file_is_left_to_be_a_traceback(error: OSError) -> None:
    assert system_failure(error) is None


def test_a_number_for_a_file_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "open").write_text("")
    with (tmp_path / "open").open() as stream:
        descriptor = stream.fileno()
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        os.fstat(descriptor)
    assert system_failure(caught.value) is None


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENAMETOOLONG, "more than 255 bytes"),
        (errno.EISDIR, "a file stands where a folder is needed"),
        (errno.ELOOP, "lead back to themselves"),
        (errno.EACCES, "belongs to another user"),
    ],
)
def test_the_cause_is_the_one_that_the_number_tells(number: int, cause: str) -> None:
    failure = system_failure(OSError(number, os.strerror(number), "/some/file"))
    assert failure is not None
    assert cause in failure.why
