"""The base image: pulled by digest from a registry, or made from Debian's packages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.images_support import running_registry, work_left
from tests.containers.sandbox_support import SilentReporter
from tests.unit.image_registry_support import offer_image
from tests.unit.registry_support import Server, closed_port, serve, silent_port
from toolchain.engine import Engine
from toolchain.errors import ImageBuildError, NetworkError
from toolchain.images.base import bootstrap, make_base, pull_base
from toolchain.images.definition import CONTENT_LABEL, KIND_LABEL
from toolchain.images.site import DEBIAN_MIRROR_VARIABLE
from toolchain.layout import Layout
from toolchain.pins import DebianPins, Pins

NAME = "tinyml-test/base:1"
LABELS = {KIND_LABEL: "base", CONTENT_LABEL: "of a test"}
REPOSITORY = "library/debian"


def pinned(pins: Pins, port: int, digest: str) -> DebianPins:
    return DebianPins.model_validate(
        pins.debian.model_dump()
        | {"registry_image": f"127.0.0.1:{port}/{REPOSITORY}:x", "registry_digest": digest}
    )


@pytest.fixture
def server(engine: Engine) -> Iterator[Server]:
    with serve() as server:
        yield server
        repository = f"127.0.0.1:{server.port}/{REPOSITORY}"
        # By name, since an image may have other names too; and the pulled one last, as the parent.
        for name in (NAME, repository):
            for image in engine.client.images.list(name):
                for reference in (*image.tags, *image.attrs["RepoDigests"]):
                    if reference.startswith((f"{repository}:", f"{repository}@", NAME)):
                        engine.client.images.remove(reference)


def is_there(engine: Engine) -> bool:
    return bool(engine.client.images.list(NAME))


def test_the_base_is_pulled_by_digest_and_labelled(
    engine: Engine, pins: Pins, server: Server
) -> None:
    digest = offer_image(server, REPOSITORY, {"etc/of-a-test": b"content"})
    debian = pinned(pins, server.port, digest)
    assert pull_base(engine, NAME, LABELS, debian, SilentReporter()) == ""
    image = engine.client.images.get(NAME)
    assert image.labels == LABELS
    assert len(image.attrs["RootFS"]["Layers"]) == 1
    assert f"/v2/{REPOSITORY}/manifests/{digest}" in server.asked
    container = engine.client.containers.create(NAME, ["x"])
    try:
        chunks, _ = container.get_archive("/etc/of-a-test")
        assert b"content" in b"".join(chunks)
    finally:
        container.remove()


def test_a_pull_that_works_makes_the_base_without_bootstrapping(
    engine: Engine, pins: Pins, server: Server, layout: Layout, tmp_path: Path
) -> None:
    debian = pinned(pins, server.port, offer_image(server, REPOSITORY, {"x": b"y"}))
    own, reporter = Layout(layout.project, tmp_path / "cache"), SilentReporter()
    make_base(
        engine,
        NAME,
        "of a test",
        debian=debian,
        layout=own,
        reporter=reporter,
        environ={"PATH": ""},
    )
    assert engine.client.images.get(NAME).labels == LABELS
    assert reporter.notes == []
    assert not own.cache.exists()


def test_another_image_than_the_pinned_one_is_refused(
    engine: Engine, pins: Pins, server: Server
) -> None:
    digest = offer_image(server, REPOSITORY, {"x": b"y"})
    other = "sha256:" + "0" * 64
    path = f"/v2/{REPOSITORY}/manifests/"
    server.files[path + other] = server.files[path + digest]
    server.types[path + other] = server.types[path + digest]
    problem = pull_base(engine, NAME, LABELS, pinned(pins, server.port, other), SilentReporter())
    assert "digest" in problem
    assert not is_there(engine)


@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_registry_that_does_not_have_it_is_a_reason(
    engine: Engine, pins: Pins, server: Server, status: int
) -> None:
    digest = offer_image(server, REPOSITORY, {"x": b"y"})
    server.statuses[f"/v2/{REPOSITORY}/manifests/{digest}"] = status
    assert pull_base(engine, NAME, LABELS, pinned(pins, server.port, digest), SilentReporter())
    assert not is_there(engine)


def test_a_registry_that_is_not_there_is_a_reason(engine: Engine, pins: Pins) -> None:
    debian = pinned(pins, closed_port(), "sha256:" + "0" * 64)
    problem = pull_base(engine, NAME, LABELS, debian, SilentReporter())
    assert "connection refused" in problem
    assert not is_there(engine)


def test_a_registry_that_says_nothing_is_given_up(engine: Engine, pins: Pins) -> None:
    with silent_port() as port:
        debian = pinned(pins, port, "sha256:" + "0" * 64)
        problem = pull_base(engine, NAME, LABELS, debian, SilentReporter(), silence_seconds=1)
    assert problem == "it said nothing for 1 s"
    assert not is_there(engine)


def test_a_missing_password_program_is_no_hindrance(
    engine: Engine,
    pins: Pins,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "of-another-system"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    debian = pinned(pins, server.port, offer_image(server, REPOSITORY, {"x": b"y"}))
    assert pull_base(engine, NAME, LABELS, debian, SilentReporter()) == ""


def test_without_registry_and_bootstrapper_the_user_is_told_what_to_install(
    engine: Engine, pins: Pins, layout: Layout, tmp_path: Path
) -> None:
    own, reporter = Layout(layout.project, tmp_path / "cache"), SilentReporter()
    debian = pinned(pins, closed_port(), "sha256:" + "0" * 64)
    environ = {"PATH": str(tmp_path), "TOOLCHAIN_NO_INSTALL": "1"}
    with pytest.raises(ImageBuildError) as caught:
        make_base(engine, NAME, "x", debian=debian, layout=own, reporter=reporter, environ=environ)
    assert "mmdebstrap" in caught.value.why
    assert "apt-get install mmdebstrap" in caught.value.next_step
    assert "no image registry answers" in reporter.notes[0]
    assert work_left(engine, own) == []
    assert not is_there(engine)


@pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="there is no mmdebstrap here")
def test_a_bootstrap_without_mirror_is_a_matter_of_the_network(pins: Pins, tmp_path: Path) -> None:
    mirror = f"http://127.0.0.1:{closed_port()}/debian"
    environ = {"PATH": os.environ["PATH"], "no_proxy": "127.0.0.1", DEBIAN_MIRROR_VARIABLE: mirror}
    with pytest.raises(NetworkError) as caught:
        bootstrap(tmp_path / "base.tar", pins.debian, SilentReporter(), environ)
    assert f"Debian {pins.debian.suite}" in caught.value.what
    assert "cannot be reached" in caught.value.why


def test_the_base_is_pulled_from_a_registry_as_companies_run_it(
    engine: Engine, pins: Pins, base_image: str, server: Server, tmp_path: Path
) -> None:
    with running_registry(tmp_path / "registry") as port:
        server.port = port
        repository = f"127.0.0.1:{port}/{REPOSITORY}"
        engine.client.images.get(base_image).tag(repository, "x")
        events = engine.client.images.push(repository, tag="x", stream=True, decode=True)
        (digest,) = (event["aux"]["Digest"] for event in events if "aux" in event)
        engine.client.images.remove(f"{repository}:x")
        debian = pinned(pins, port, digest)
        assert pull_base(engine, NAME, LABELS, debian, SilentReporter()) == ""
    layers = [
        engine.client.images.get(name).attrs["RootFS"]["Layers"] for name in (NAME, base_image)
    ]
    assert layers[0] == layers[1]
