"""Mistakes in a board's code, as its author meets them."""

from __future__ import annotations

from pathlib import Path

from tests.blackbox.support import TARGET, Checkout, failed, replace_in


def test_a_compiler_error_is_shown_with_its_line_and_its_log(copy: Checkout) -> None:
    assert copy.invoke("build", "--target", TARGET).returncode == 0
    before = copy.outputs()
    replace_in(copy.board_source, "  RunAt48MHz();\n", "  RunAt49MHz();\n")
    said = failed(copy.invoke("build", "--target", TARGET), 18)
    line = copy.board_source.read_text().split("  RunAt49MHz();")[0].count("\n") + 1
    assert f"boards/{TARGET}/board.cc:{line}:" in said
    log = Path(said.rpartition("read all that it wrote in ")[2].strip())
    assert "RunAt49MHz" in log.read_text()
    assert copy.outputs() == before
