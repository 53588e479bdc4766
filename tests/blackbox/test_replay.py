"""A simulated run to look at again: as a page for a browser, and on the terminal."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, failed
from tests.blackbox.test_terminal import on_a_terminal

SIMULATE = ("simulate", "--target", TARGET, "--inferences", "60")
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"

CLICK = """<script>
document.getElementById("play").click();
setTimeout(() => {
  document.getElementById("play").click();
  document.body.setAttribute("data-at", document.getElementById("at").value);
}, 1000);
</script>"""
"""Plays for a second, then stops and writes down where the run is."""


def data(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="run">(.*?)</script>', page, re.S)
    assert found
    read: dict[str, object] = json.loads(found[1])
    return read


def test_the_page_holds_the_run_and_asks_for_nothing(built: Checkout, tmp_path: Path) -> None:
    file = tmp_path / "replay.html"
    done = built.invoke(*SIMULATE, "--html", str(file))
    assert done.returncode == 0, done.stderr
    assert f"replay   {file}" in done.stdout
    text = file.read_text()
    assert not re.search(r"(src|href)=|url\(|@import|fetch\(", text)
    run = data(text)
    report = json.loads((built.output / "simulation.json").read_text())
    steps = run["inferences"]
    assert isinstance(steps, list)
    assert len(steps) == len(report["inferences"]) == 60
    for step, told in zip(steps, report["inferences"], strict=True):
        assert (step["x"], step["y"]) == (told["x"], told["y"])
        assert step["instructions"] == told["instructions"]
        assert step["brightness"] == pytest.approx(told["brightness"], abs=1e-4)
        console = run["console"]
        assert isinstance(console, list)
        assert f"y=0x{told['y_bits']:08x}" in console[step["line"]]


def test_a_browser_plays_the_page(built: Checkout, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("not run: neither Chromium nor Chrome is installed")
    file = tmp_path / "replay.html"
    assert built.invoke(*SIMULATE, "--html", str(file)).returncode == 0
    file.write_text(file.read_text().replace("</body>", f"{CLICK}</body>"))
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    shown = subprocess.run(
        [
            *(browser, *options, *quiet, f"--user-data-dir={tmp_path / 'profile'}"),
            *("--virtual-time-budget=3000", "--dump-dom", file.as_uri()),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    reached = re.search(r'data-at="(\d+)"', shown)
    assert reached
    assert int(reached[1]) > 10
    assert "<title>SparkFun Edge, sine_int8, simulated</title>" in shown
    assert "<dt>inference</dt>" in shown


def test_a_terminal_shows_the_run_and_then_what_it_showed_before(built: Checkout) -> None:
    code, shown = on_a_terminal(built, *SIMULATE, "--watch")
    assert code == 0
    assert shown.count(ENTER) == shown.count(LEAVE) == 1
    frames = shown[shown.index(ENTER) : shown.index(LEAVE)]
    assert "inference 1 of 60" in frames
    assert "inference 60 of 60" in frames
    assert "green" in frames
    assert "x_value: " in frames
    assert "60 inferences" in shown[shown.index(LEAVE) :]


def test_an_interrupt_leaves_the_terminal_whole(built: Checkout) -> None:
    code, shown = on_a_terminal(built, *SIMULATE, "--watch", interrupt_at="inference 5 of")
    assert code == 130
    assert shown.count(LEAVE) == 1
    assert shown.index(LEAVE) < shown.index("error: stopped")


def test_where_nothing_can_be_watched_it_is_told_before_anything_runs(built: Checkout) -> None:
    said = failed(built.invoke(*SIMULATE, "--watch"), 29)
    assert "--watch needs a terminal" in said
    assert "--html FILE" in said
    assert ": cached" not in said
    code, shown = on_a_terminal(built, *SIMULATE, "--watch", columns=20)
    assert code == 29
    assert "--watch needs 40 columns" in shown


@pytest.mark.parametrize("option", [("--watch",), ("--html", "page.html")])
def test_one_board_is_shown_at_a_time(built: Checkout, option: tuple[str, ...]) -> None:
    said = failed(built.invoke("simulate", "--target", "all", *option), 29)
    assert "name the board with --target" in said
