"""Tables for people."""

from __future__ import annotations

import re

from tests.blackbox.support import TARGET, Checkout
from toolchain.boards import board_names


def test_targets_plan_and_images_are_tables_for_people(built: Checkout) -> None:
    names = board_names(built.folder / "boards")
    targets = built.invoke("targets").stdout
    assert re.search(rf"^{TARGET} +SparkFun Edge +cortex-m4 48 MHz", targets, re.MULTILINE)
    assert re.search(
        rf"^{TARGET} .* ambiq_bootloader \(ambiq_wired_update\)$", targets, re.MULTILINE
    )
    first_words = [line.partition(" ")[0] for line in targets.splitlines()]
    listed = [word for word in first_words if word in names]
    # One table after another, each with all boards.
    assert listed == list(names) * (len(listed) // len(names))
    assert listed
    planned = built.invoke("plan", "--target", TARGET).stdout.splitlines()
    assert "cached  train sine" in planned
    assert {line.split()[0] for line in planned} == {"cached"}
    images = built.invoke("images").stdout
    for kind in ("base", "train", "cross"):
        assert f"tinyml-toolchain/{kind}:" in images
