"""What ``./invoke doctor`` asks through the engine: a real mirror, a real registry, and none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.containers.images_support import running_registry
from tests.unit.registry_support import closed_port
from toolchain.console import PlainReporter
from toolchain.doctor.network import ask_image_registry, ask_mirror
from toolchain.engine import Engine
from toolchain.images.definition import image_name
from toolchain.images.sharing import REGISTRY_VARIABLE, push_image
from toolchain.images.site import DEBIAN_MIRROR_VARIABLE
from toolchain.layout import Layout
from toolchain.pins import Pins


@pytest.fixture
def environ(engine: Engine) -> dict[str, str]:
    return {**os.environ, "DOCKER_HOST": engine.address.url}


def test_the_mirror_answers_and_leaves_nothing(
    environ: dict[str, str], base_image: str, layout: Layout, tmp_path: Path
) -> None:
    assert base_image
    own = Layout(layout.project, tmp_path / "cache")
    assert ask_mirror(own, environ).answer == "answers"
    assert list(own.cache.iterdir()) == []


def test_a_mirror_that_is_not_there_does_not_answer(
    environ: dict[str, str], base_image: str, layout: Layout
) -> None:
    assert base_image
    asked = ask_mirror(
        layout, environ | {DEBIAN_MIRROR_VARIABLE: f"http://127.0.0.1:{closed_port()}/debian"}
    )
    assert (asked.answer, asked.why) == ("does not answer", "the server cannot be reached")


def test_a_registry_says_whether_it_has_the_images(
    engine: Engine,
    environ: dict[str, str],
    base_image: str,
    pins: Pins,
    layout: Layout,
    reporter: PlainReporter,
    tmp_path: Path,
) -> None:
    with running_registry(tmp_path / "registry") as port:
        registry = f"127.0.0.1:{port}/team"
        environ[REGISTRY_VARIABLE] = registry
        asked = ask_image_registry(layout, environ)
        assert asked.answer == "answers"
        assert "does not have" in asked.why
        name = image_name("base", pins, layout)
        assert name == base_image
        push_image(engine, registry, name, reporter)
        asked = ask_image_registry(layout, environ)
        assert (asked.answer, asked.why) == ("answers", "it has this checkout's images")
    assert ask_image_registry(layout, environ).answer == "does not answer"
