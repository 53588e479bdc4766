"""Files that a step left and that are not what it should leave."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from toolchain.actions import StepResult, Store
from toolchain.building.step_output import step_number
from toolchain.digest import Digest
from toolchain.errors import StepFailedError

FILE = PurePosixPath("model.json")


def number_of(folder: Path, data: bytes) -> int:
    store = Store(folder)
    outputs = {FILE: store.put_bytes(data)}
    return step_number(
        store, StepResult("embed m", Digest.of_bytes(b""), outputs, cached=True), FILE, "bytes"
    )


def test_a_number_is_read(tmp_path: Path) -> None:
    assert number_of(tmp_path, b'{"bytes": 0}') == 0
    assert number_of(tmp_path, b'{"bytes": 12, "more": null}') == 12


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[12]",
        b"{}",
        b"[" * 100_000,
        b'{"bytes": "12"}',
        b'{"bytes": 1.5}',
        b'{"bytes": NaN}',
        b'{"bytes": true}',
        b'{"bytes": -1}',
    ],
)
def test_anything_else_is_an_error_that_names_step_and_file(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(StepFailedError) as caught:
        number_of(tmp_path, data)
    assert caught.value.what == "step 'embed m' left a model.json that cannot be used"
    assert caught.value.why
