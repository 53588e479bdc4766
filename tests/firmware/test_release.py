"""A release of real firmwares: the same bytes from two folders, valid, and made again."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.release_support import releasable
from toolchain.boards import board_names, find_targets
from toolchain.commands.package import package
from toolchain.commands.reproduce import reproduce
from toolchain.console import PlainReporter
from toolchain.engine import Engine
from toolchain.errors import ReleaseInvalidError
from toolchain.layout import Layout
from toolchain.model_choice import chosen_model
from toolchain.release.checks import check_release
from toolchain.release.manifest import SBOM
from toolchain.session import Session, chosen_engine, open_session

VERSION = "1.0"


@contextmanager
def session_of(checkout: Layout, engine: Engine) -> Iterator[Session]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", engine.address.url)
        place = chosen_engine("docker")
        with open_session(PlainReporter(), layout=checkout, engine=place) as session:
            yield session


def packaged(
    checkout: Layout, engine: Engine, target: str = "all", model: str = "sine_int8"
) -> Path:
    with session_of(checkout, engine) as session:
        boards = find_targets(checkout.boards, target)
        return package(session, boards, chosen_model(model), VERSION).folder


@pytest.fixture(scope="module")
def dist(layout: Layout, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkout = releasable(tmp_path_factory.mktemp("release"))
    return packaged(Layout(checkout.project, layout.cache), engine)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_two_folders_give_the_same_bytes_for_all_boards(
    dist: Path, layout: Layout, engine: Engine, tmp_path: Path
) -> None:
    boards = board_names(layout.boards)
    other = Layout(releasable(tmp_path / "another, longer place").project, layout.cache)
    again = contents(packaged(other, engine))
    assert again == contents(dist)
    found = check_release(dist, layout.boards)
    assert sorted(found.archives) == [f"tinyml-toolchain-{VERSION}-{board}.zip" for board in boards]
    for name, data in again.items():
        texts = [data]
        if name.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                texts = [archive.read(entry) for entry in archive.infolist()]
        for text in texts:
            for place in (str(tmp_path), str(dist.parent), str(layout.cache)):
                assert place.encode() not in text, name


def test_the_components_are_those_of_the_images(dist: Path) -> None:
    listed = {
        each["name"]: [item["value"] for item in each.get("properties", ())]
        for each in json.loads((dist / SBOM).read_bytes())["components"]
    }
    assert {"cross", "train"} <= set(listed["libc6"])
    assert "train" in listed["tensorflow-cpu"]
    assert "cross" in listed["gcc-arm-none-eabi"]


def test_the_archive_of_one_board_as_that_of_another_is_refused(
    dist: Path, layout: Layout, tmp_path: Path
) -> None:
    folder = tmp_path / "dist"
    shutil.copytree(dist, folder)
    edge = folder / f"tinyml-toolchain-{VERSION}-sparkfun_edge.zip"
    edge.write_bytes((folder / f"tinyml-toolchain-{VERSION}-stm32f746g_disco.zip").read_bytes())
    with pytest.raises(ReleaseInvalidError, match=rf"{edge.name} is not what SHA256SUMS says"):
        check_release(folder, layout.boards)


def test_a_release_of_a_given_model_is_made_again_from_the_model_in_it(
    dist: Path, layout: Layout, engine: Engine, tmp_path: Path
) -> None:
    checkout = Layout(releasable(tmp_path).project, layout.cache)
    with zipfile.ZipFile(dist / f"tinyml-toolchain-{VERSION}-sparkfun_edge.zip") as archive:
        (tflite,) = (name for name in archive.namelist() if name.endswith(".tflite"))
        (tmp_path / "my sine.tflite").write_bytes(archive.read(tflite))
    given = str(tmp_path / "my sine.tflite")
    folder = packaged(checkout, engine, "sparkfun_edge", given)
    found = check_release(folder, checkout.boards)
    (archive_record,) = found.manifest.archives
    names = {each.path for each in archive_record.files}
    assert {"model_runner_ambiq_image.bin", "my_sine.tflite", "arena.json", "junit.xml"} <= names
    assert {image.kind for image in found.manifest.images} == {"train", "cross", "host"}
    (tmp_path / "my sine.tflite").unlink()
    with session_of(checkout, engine) as session:
        assert reproduce(session, found).files.keys() == found.files.keys()
