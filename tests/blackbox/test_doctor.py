"""``./invoke doctor``: what it finds here, and what it gives away."""

from __future__ import annotations

import json
from pathlib import Path

from tests.blackbox.support import Checkout, sha256
from tests.blackbox.test_json import checked
from toolchain.errors import ProblemsFoundError


def test_this_computer_is_looked_at_and_the_bundle_is_the_same_twice(
    built: Checkout, tmp_path: Path
) -> None:
    files = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for file in files:
        done = built.invoke("doctor", "--json", "--bundle", str(file))
        document = checked(json.loads(done.stdout))
        assert done.returncode == (0 if document["healthy"] else 36)
    looked_at = {finding["check"] for finding in document["findings"]}
    assert looked_at >= {"Python", "pins", "engine", "memory", "clock", "cache", "boards"}
    engine = next(each for each in document["findings"] if each["check"] == "engine")
    assert engine["state"] == "ok"
    assert sha256(files[0]) == sha256(files[1])
    assert str(built.folder).encode() not in files[0].read_bytes()


def test_a_problem_is_told_with_its_cure_and_an_exit_code_of_its_own(built: Checkout) -> None:
    done = built.invoke("doctor", HTTPS_PROXY="nowhere")
    assert done.returncode == ProblemsFoundError.exit_code
    lines = done.stdout.splitlines()
    (index,) = (n for n, line in enumerate(lines) if line.startswith("problem  proxies "))
    assert "next: give it as http://host:port" in lines[index + 1]
    assert done.stderr.startswith("error: 1 problem would hinder a build\n")
