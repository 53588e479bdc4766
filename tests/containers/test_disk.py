"""Full disks: the cache's and the engine's, on small file systems of their own."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.images_support import kept, small_disk, tiny_root, work_left
from tests.containers.sandbox_support import SilentReporter
from tests.unit.engine_support import open_folder
from toolchain.disk import require_space
from toolchain.engine import Engine, discovery, open_engine
from toolchain.engine.connection import find_dockerd
from toolchain.errors import DiskFullError
from toolchain.images.base import import_base
from toolchain.images.build import build_image
from toolchain.images.definition import KIND_LABEL
from toolchain.images.ensure import ensure_image
from toolchain.images.fetch import Fetcher
from toolchain.images.inputs import BuildInputs
from toolchain.images.making import making_images
from toolchain.images.site import site_settings
from toolchain.layout import Layout
from toolchain.pins import Pins


def test_the_room_of_the_disk_in_question_counts(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "8m") as disk:
        require_space([disk / "not" / "there"], 7_000_000, "a test")
        with pytest.raises(DiskFullError, match=r"a test needs 9 MB free and .* has 8 MB"):
            require_space([tmp_path, disk], 9_000_000, "a test")


def test_no_image_is_begun_where_it_has_no_room(
    engine: Engine, base_image: str, pins: Pins, layout: Layout, tmp_path: Path
) -> None:
    del base_image
    project = tmp_path / "checkout"
    for path in ("pins.toml", "docker", "tflm/image"):
        source, target = layout.project / path, project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    (project / "tflm/image/Makefile").write_text("# another\n")
    with small_disk(tmp_path / "small", "8m") as disk:
        own = Layout(project, disk / "cache")
        with pytest.raises(DiskFullError) as caught:
            ensure_image(engine, "cross", layout=own, pins=pins, reporter=SilentReporter())
        assert "making the cross image needs 4.0 GB free" in caught.value.what
        assert str(disk) in caught.value.what
        assert kept(own) == set()


# apt finds out beforehand; a copy into the downloads finds out when it is made.
@pytest.mark.parametrize(("room", "said"), [(300_000, "apt"), (700_000, "the disk of")])
def test_a_cache_that_fills_up_while_fetching_is_told_and_left_clean(
    engine: Engine,
    base_image: str,
    pins: Pins,
    layout: Layout,
    tmp_path: Path,
    room: int,
    said: str,
) -> None:
    site = site_settings(os.environ)
    if site.certificates is not None:
        room += site.certificates.stat().st_size
    with small_disk(tmp_path / "small", str(room)) as disk:
        own = Layout(layout.project, disk)
        fetcher = Fetcher(
            engine,
            base_image,
            pins=pins,
            layout=own,
            reporter=SilentReporter(),
            site=site,
        )
        with (
            pytest.raises(DiskFullError) as caught,
            making_images(engine, own, SilentReporter()),
        ):
            fetcher.pinned_packages({"make": pins.cross.packages["make"]})
        assert kept(own) == set()
        assert work_left(engine, own) == []
    if said == "apt":
        assert "while fetching the Debian packages make" in caught.value.what
    else:
        assert f"the disk of {disk} is full" in caught.value.what
    assert "TOOLCHAIN_CACHE" in caught.value.next_step


@pytest.fixture
def small_engine(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Engine, Layout]]:
    """A private engine whose data are on a small disk."""
    if find_dockerd(os.environ) is None:
        pytest.skip("there is no dockerd")
    with open_folder() as folder, small_disk(folder / "small", "48m") as disk:
        monkeypatch.setattr(discovery, "DEFAULT_SOCKET", folder / "absent.sock")
        own = Layout(layout.project, disk)
        environ = {"PATH": os.environ["PATH"], "DOCKER_CONFIG": str(folder)}
        with open_engine(own, SilentReporter(), environ=environ) as engine:
            yield engine, own


def test_an_engine_whose_disk_fills_up_is_told_and_left_clean(
    small_engine: tuple[Engine, Layout], tmp_path: Path
) -> None:
    engine, own = small_engine
    (tmp_path / "tiny.tar").write_bytes(tiny_root())
    import_base(engine, tmp_path / "tiny.tar", "tiny:1", {KIND_LABEL: "test"})
    before = {image.id for image in engine.client.images.list(all=True)}

    with (tmp_path / "big").open("wb") as big:
        big.write(os.urandom(64_000_000))
    dockerfile = b"ARG BASE\nFROM ${BASE}\nCOPY big /\n"
    with pytest.raises(DiskFullError) as caught:
        build_image(
            engine,
            "big:1",
            BuildInputs({"Dockerfile": dockerfile, "big": (tmp_path / "big").read_bytes()}, {}),
            labels={KIND_LABEL: "test"},
            parent="tiny:1",
            layout=own,
            reporter=SilentReporter(),
        )
    assert "the engine's disk filled up while building the test image" in caught.value.what
    assert "docker system df" in caught.value.next_step
    assert {image.id for image in engine.client.images.list(all=True)} == before
    assert work_left(engine, own) == []

    archive = tmp_path / "base.tar"
    with tarfile.open(archive, "w") as stream:
        stream.add(tmp_path / "big", "big")
    with pytest.raises(DiskFullError, match="engine's disk filled up"):
        import_base(engine, archive, "big:2", {})
    assert not engine.client.images.list("big")
