"""Names of images: they change with what an image is made of, and with nothing else."""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from toolchain.errors import PinsError, UsageError
from toolchain.images import KINDS, definition, image_name, project_pins
from toolchain.images.definition import Kind, image_content, image_definition, kind_of
from toolchain.layout import Layout, project_layout
from toolchain.pins import Pins

PROJECT = project_layout().project
PINS = project_pins(project_layout())
ALL: set[str] = set(KINDS)
PYTHON = {"train", "notebook"}
COMPILERS = {"cross", "host"}
# What depends on which part of pins.toml; wheels are taken from the locks.
DEPENDANTS: Mapping[tuple[str, ...], set[str]] = {
    ("engine",): set(),
    ("debian",): ALL,
    ("fetch",): set(),
    ("cross",): COMPILERS,
    ("host_compiler",): {"host"},
    ("tflm",): COMPILERS,
    ("train", "python"): PYTHON,
    ("train", "system_packages"): PYTHON,
    ("train", "build_packages"): PYTHON,
    ("train", "requirements"): set(),
    ("notebook", "requirements"): set(),
    ("service", "python"): {"service"},
    ("service", "system_packages"): {"service"},
    ("service", "build_packages"): {"service"},
    ("service", "requirements"): set(),
    ("host",): set(),
    # Of the machine that asks, as the host's are.
    ("remote",): set(),
    # What images come to, not what they are made of.
    ("content",): set(),
    # Its image is made apart, by docker itself (toolchain/renode).
    ("renode",): set(),
    # No step runs in the development container.
    ("devcontainer",): set(),
    ("test",): set(),
}
FILES: Mapping[str, set[str]] = {
    "docker/cross.Dockerfile": COMPILERS,
    "docker/host.Dockerfile": {"host"},
    "docker/train.Dockerfile": PYTHON,
    "docker/train.lock": PYTHON,
    "docker/notebook.Dockerfile": {"notebook"},
    "docker/notebook.lock": {"notebook"},
    "docker/service.Dockerfile": {"service"},
    "docker/service.lock": {"service"},
    "tflm/image/Makefile": COMPILERS,
}


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    else:
        yield path


def changed_pins(path: tuple[str, ...]) -> Pins:
    """Return the pins with another value, as valid as the old one, at ``path``."""
    document = copy.deepcopy(PINS.model_dump(mode="json"))
    table = document
    for key in path[:-1]:
        table = table[key]
    old = table[path[-1]]
    if isinstance(old, list):
        new: Any = [*old, "3.14" if path[-1] == "python" else "another"]
    elif isinstance(old, int):
        new = old + 1
    else:
        last = old[-1]
        new = old[:-1] + ("b" if last == "a" else "a" if last.isalpha() else "1" * (last != "1"))
        new = new if last != "1" else old[:-1] + "2"
    table[path[-1]] = new
    return Pins.model_validate(document)


def names(pins: Pins, layout: Layout) -> dict[str, str]:
    return {kind: image_name(kind, pins, layout) for kind in KINDS}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    return {kind for kind in before if before[kind] != after[kind]}


@pytest.fixture
def checkout(tmp_path: Path) -> Layout:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, tmp_path / name)
    return Layout(tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("path", list(leaves(PINS.model_dump(mode="json"))), ids=".".join)
def test_a_pin_changes_the_names_of_what_is_made_with_it(path: tuple[str, ...]) -> None:
    (expected,) = (kinds for part, kinds in DEPENDANTS.items() if path[: len(part)] == part)
    layout = project_layout()
    assert changes(names(PINS, layout), names(changed_pins(path), layout)) == expected


@pytest.mark.parametrize("name", FILES)
def test_a_file_changes_the_names_of_what_is_made_with_it(checkout: Layout, name: str) -> None:
    before = names(PINS, checkout)
    (checkout.project / name).write_bytes((checkout.project / name).read_bytes() + b"\n")
    assert changes(before, names(PINS, checkout)) == FILES[name]


def test_all_of_docker_makes_an_image() -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "docker"], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout.split()
    # Renode's image is made apart, by docker itself, and no step runs in the development container.
    assert set(tracked) - {"docker/renode.Dockerfile", "docker/dev.Dockerfile"} == {
        name for name in FILES if name.startswith("docker/")
    }


@pytest.mark.parametrize("constant", ["BASE_EPOCH", "BASE_EXCLUDES"])
def test_the_recipe_of_the_base_is_in_every_name(
    monkeypatch: pytest.MonkeyPatch, constant: str
) -> None:
    before = names(PINS, project_layout())
    monkeypatch.setattr(definition, constant, 0 if constant == "BASE_EPOCH" else ())
    assert changes(before, names(PINS, project_layout())) == ALL


def test_a_name_tells_nothing_of_where_the_checkout_is(checkout: Layout) -> None:
    assert names(PINS, checkout) == names(PINS, project_layout())


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_the_start_of_the_content(kind: Kind) -> None:
    content = image_content(kind, PINS, project_layout())
    name = image_name(kind, PINS, project_layout())
    assert re.fullmatch(rf"tinyml-toolchain/{kind}:[0-9a-f]{{24}}", name)
    assert content.startswith(name.rpartition(":")[2])
    assert re.fullmatch(r"[0-9a-f]{64}", content)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(checkout: Layout, name: str) -> None:
    (checkout.project / name).unlink()
    with pytest.raises(PinsError, match=re.escape(name)):
        names(PINS, checkout)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_known_by_kind_and_by_name(kind: Kind) -> None:
    assert kind_of(kind, PINS, project_layout()) == kind
    assert kind_of(image_name(kind, PINS, project_layout()), PINS, project_layout()) == kind


@pytest.mark.parametrize(
    ("name", "why"),
    [("tinyml-toolchain/cross:" + "0" * 24, "have changed"), ("debian:stable", ""), ("", "")],
)
def test_another_image_is_no_image_of_this_checkout(name: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        kind_of(name, PINS, project_layout())
    assert why in caught.value.why
    assert bool(why) == bool(caught.value.why)
    assert ", ".join(KINDS) in caught.value.next_step


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="renode"):
        image_definition("renode", PINS)  # type: ignore[arg-type]
