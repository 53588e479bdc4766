"""Listing and removing this project's images, in an engine of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.images_support import tiny_root
from tests.containers.sandbox_support import SilentReporter
from tests.unit.engine_support import open_folder
from toolchain.commands import clean as clean_module
from toolchain.engine import Engine, discovery, open_engine
from toolchain.engine.connection import find_dockerd
from toolchain.images import image_name, project_pins
from toolchain.images.base import import_base
from toolchain.images.build import build_image
from toolchain.images.definition import CONTENT_LABEL, KIND_LABEL
from toolchain.images.inputs import BuildInputs
from toolchain.images.inventory import list_images, remove_images
from toolchain.layout import Layout


@pytest.fixture
def own(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Engine, Layout]]:
    if os.geteuid() != 0 or find_dockerd(os.environ) is None:
        pytest.skip("a private engine needs root and dockerd")
    with open_folder() as folder:
        monkeypatch.setattr(discovery, "DEFAULT_SOCKET", folder / "absent.sock")
        own = Layout(layout.project, folder / "cache")
        environ = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(folder)}
        with open_engine(own, SilentReporter(), environ=environ) as engine:
            yield engine, own


def test_what_is_not_kept_goes_and_parents_and_others_stay(
    own: tuple[Engine, Layout], tmp_path: Path
) -> None:
    engine, layout = own
    archive = tmp_path / "tiny.tar"
    archive.write_bytes(tiny_root())
    for name in ("tinyml-toolchain/base:1", "tinyml-toolchain/base:2"):
        import_base(engine, archive, name, {KIND_LABEL: "base", CONTENT_LABEL: name})
    import_base(engine, archive, "somebody/else:1", {})
    for tag in ("1", "2"):
        build_image(
            engine,
            f"tinyml-toolchain/cross:{tag}",
            BuildInputs(
                {"Dockerfile": b"ARG BASE\nFROM ${BASE}\nCOPY x /\n", "x": tag.encode()}, {}
            ),
            labels={KIND_LABEL: "cross", CONTENT_LABEL: tag},
            parent="tinyml-toolchain/base:1",
            layout=layout,
            reporter=SilentReporter(),
        )
    build_image(
        engine,
        "tinyml-toolchain/host:1",
        BuildInputs({"Dockerfile": b"ARG BASE\nFROM ${BASE}\nCOPY x /y\n", "x": b"host"}, {}),
        labels={KIND_LABEL: "host", CONTENT_LABEL: "1"},
        parent="tinyml-toolchain/cross:1",
        layout=layout,
        reporter=SilentReporter(),
    )
    listed = [(image.kind, *image.names) for image in list_images(engine)]
    assert listed == [
        ("base", "tinyml-toolchain/base:1"),
        ("base", "tinyml-toolchain/base:2"),
        ("cross", "tinyml-toolchain/cross:1"),
        ("cross", "tinyml-toolchain/cross:2"),
        ("host", "tinyml-toolchain/host:1"),
    ]

    removed = remove_images(engine, keep=["tinyml-toolchain/cross:2", "tinyml-toolchain/base:1"])
    assert {name for image in removed for name in image.names} == {
        "tinyml-toolchain/cross:1",
        "tinyml-toolchain/host:1",
        "tinyml-toolchain/base:2",
    }
    # A base that is not kept by name stays as long as an image stands on it.
    remove_images(engine, keep=["tinyml-toolchain/cross:2"])
    left = {name for image in engine.client.images.list() for name in image.tags}
    assert {"tinyml-toolchain/cross:2", "somebody/else:1"} <= left
    assert engine.client.images.get("tinyml-toolchain/cross:2").labels[CONTENT_LABEL] == "2"
    remove_images(engine)
    assert {name for image in engine.client.images.list() for name in image.tags} == {
        "somebody/else:1"
    }


def test_cleaning_lists_old_images_first_and_keeps_this_checkouts(
    own: tuple[Engine, Layout], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, layout = own
    current = image_name("base", project_pins(layout), layout)
    archive = tmp_path / "tiny.tar"
    archive.write_bytes(tiny_root())
    for name in (current, "tinyml-toolchain/base:old", "tinyml-toolchain/base:used"):
        import_base(engine, archive, name, {KIND_LABEL: "base", CONTENT_LABEL: name})
    # A second image of the same name leaves the first without any.
    import_base(engine, archive, current, {KIND_LABEL: "base", CONTENT_LABEL: "again"})
    import_base(engine, archive, "somebody/else:1", {})
    used = engine.client.containers.create("tinyml-toolchain/base:used", ["/sleep"])
    monkeypatch.setenv("DOCKER_HOST", engine.address.url)
    elsewhere = Layout(layout.project, layout.cache)
    monkeypatch.setattr(clean_module, "project_layout", lambda: elsewhere)
    monkeypatch.setattr(Layout, "build", property(lambda _: tmp_path / "absent"))

    def names() -> set[str]:
        return {name for image in engine.client.images.list() for name in image.tags}

    before, reporter = names(), SilentReporter()
    listed = clean_module.clean(reporter, cache=False, images=True, dry_run=True)
    assert names() == before
    assert len(engine.client.images.list()) == 5
    told = {item.what for item in listed}
    (nameless,) = (what for what in told if what.startswith("sha256:"))
    assert told == {"tinyml-toolchain/base:old", "tinyml-toolchain/base:used", nameless}
    assert {note.startswith("would remove ") for note in reporter.notes} == {True}

    done = clean_module.clean(SilentReporter(), cache=False, images=True)
    assert {item.what for item in done} == {"tinyml-toolchain/base:old", nameless}
    assert names() == {current, "tinyml-toolchain/base:used", "somebody/else:1"}
    used.remove()
    assert len(clean_module.clean(SilentReporter(), cache=False, images=True)) == 1
    assert names() == {current, "somebody/else:1"}
