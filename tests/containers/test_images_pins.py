"""The compilers' pins, taken anew from the suite's signed index."""

from __future__ import annotations

import re
from pathlib import Path

from tests.containers.images_support import work_left
from tests.containers.sandbox_support import SilentReporter
from toolchain.engine import Engine
from toolchain.layout import Layout
from toolchain.pinning.update import update_packages
from toolchain.pins import PINS_FILE, Pins, load_pins


def test_stale_pins_are_replaced_and_all_else_of_the_file_stays(
    engine: Engine, base_image: str, pins: Pins, layout: Layout, tmp_path: Path
) -> None:
    assert base_image
    original = (layout.project / PINS_FILE).read_text()
    make = pins.cross.packages["make"]
    stale = original.replace(make.sha256, "0" * 64)
    stale = stale.replace(f'version = "{make.version}"', 'version = "0.1-1"')
    stale = stale.replace(f"size = {make.size}", "size = 1")
    sanitizer = pins.host_compiler.packages["libasan8"]
    stale = stale.replace(sanitizer.sha256, "1" * 64)
    own = Layout(tmp_path / "checkout", tmp_path / "cache")
    own.project.mkdir()
    (own.project / PINS_FILE).write_text(stale)

    changes = update_packages(engine, own, SilentReporter())
    assert [line for line in changes if line.startswith("make: 0.1-1 -> ")]
    renewed = (own.project / PINS_FILE).read_text()
    now = load_pins(own.project / PINS_FILE)
    # The suite may have moved on since the pins were made, but not for most packages.
    assert now.cross.packages["make"].sha256 != "0" * 64
    kept = [name for name, pin in pins.cross.packages.items() if now.cross.packages[name] == pin]
    assert len(kept) >= len(pins.cross.packages) // 2
    assert now.host_compiler.packages["libasan8"].sha256 != "1" * 64
    compilers = {"cross": pins.cross, "host_compiler": pins.host_compiler}
    assert now.model_copy(update=compilers) == pins
    without = [
        re.sub(r"^(version|sha256|size) = .*", "", text, flags=re.M) for text in (original, renewed)
    ]
    assert without[0] == without[1]
    assert work_left(engine, own) == []
