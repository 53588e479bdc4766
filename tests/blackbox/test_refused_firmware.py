"""A firmware that does not fit, or computes something else than the model."""

from __future__ import annotations

import json

import pytest

from tests.blackbox.support import FIRMWARE, TARGET, Checkout, failed, replace_in, sha256


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("max_length = 0x000F_0000", "max_length = 0x0000_2000", "region `flash' overflowed by"),
        ("stack_size = 0x2000", "stack_size = 0x5_F800", "data and bss reach into the stack"),
    ],
)
def test_a_board_that_is_too_small_is_one_error_and_leaves_no_output(
    copy: Checkout, old: str, new: str, reason: str
) -> None:
    replace_in(copy.folder / "boards" / TARGET / "board.toml", old, new)
    said = failed(copy.invoke("build", "--target", TARGET), 20)
    assert f"the firmware does not fit the board's memory: step '{FIRMWARE}'" in said
    assert reason in said
    assert said.count("  next: ") == 1
    assert copy.outputs() == {}


def test_a_firmware_that_computes_something_else_is_refused(copy: Checkout) -> None:
    replace_in(
        copy.folder / "tflm" / "hello_world" / "inference.cc",
        "const int8_t raw_output = g_output->data.int8[0];",
        "const int8_t raw_output = g_output->data.int8[0] + 1;",
    )
    said = failed(copy.invoke("verify", "--target", TARGET, "--model", "sine_int8"), 24)
    assert "sine_int8: 0/256 outputs equal tflite-micro" in said
    assert "quantisation step" in said
    report = json.loads((copy.output / "verify.json").read_text())
    assert not report["passed"]
    assert (report["test"]["equal"], report["image"]["equal"]) == (0, 0)
    assert report["image_sha256"] == sha256(copy.output / "hello_world.bin")


def test_a_firmware_that_quantises_its_input_wrongly_is_refused(copy: Checkout) -> None:
    replace_in(
        copy.folder / "tflm" / "hello_world" / "inference.cc",
        "return static_cast<int8_t>(scaled);",
        "return static_cast<int8_t>(scaled / 2);",
    )
    said = failed(copy.invoke("verify", "--target", TARGET, "--model", "sine_int8"), 24)
    assert "of 1000 inferences" in said
    report = json.loads((copy.output / "verify.json").read_text())
    assert not report["passed"]
    assert (report["test"]["equal"], report["image"]["equal"]) == (256, 1000)
    assert report["image"]["converted"] < 100
