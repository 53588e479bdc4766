"""The image of the development container: what trains and what compiles, with a user and git.

In it every step runs with ``--engine host``: no engine is needed inside. It is no image of a step,
so that nothing that is built depends on it, and it is made only when somebody asks for it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

from toolchain.console import Reporter
from toolchain.engine.connection import Engine
from toolchain.images.build import build_image
from toolchain.images.definition import CONTENT_LABEL, KIND_LABEL, REPOSITORY
from toolchain.images.ensure import ensure_images, is_present
from toolchain.images.fetch import Fetcher
from toolchain.images.inputs import BuildInputs
from toolchain.images.making import making_images
from toolchain.images.site import site_settings
from toolchain.layout import Layout
from toolchain.pins import Pins

DEVCONTAINER_IMAGE = f"{REPOSITORY}/dev:latest"
"""Its name, which ``.devcontainer/devcontainer.json`` has."""

DOCKERFILE = "docker/dev.Dockerfile"


def ensure_devcontainer_image(
    engine: Engine,
    *,
    layout: Layout,
    pins: Pins,
    reporter: Reporter,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Return the name of the image, made now if it is missing or made of something else.

    Args:
        engine: where it has to be; the one that the editor uses.
        layout: checkout and cache.
        pins: the checkout's pins.
        reporter: told what goes on.
        environ: the site's certificates, proxies and index settings.

    Raises:
        ToolchainError: as ``ensure_images``.
    """
    base, train, cross = ensure_images(
        engine,
        ("base", "train", "cross"),
        layout=layout,
        pins=pins,
        reporter=reporter,
        environ=environ,
    )
    dockerfile = (layout.project / DOCKERFILE).read_bytes()
    described = [train, cross, list(pins.devcontainer.packages), dockerfile.decode()]
    content = hashlib.sha256(json.dumps(described).encode()).hexdigest()
    if is_present(engine, DEVCONTAINER_IMAGE, content):
        return DEVCONTAINER_IMAGE
    with making_images(engine, layout, reporter):
        fetcher = Fetcher(
            engine,
            base,
            pins=pins,
            layout=layout,
            reporter=reporter,
            site=site_settings(environ),
        )
        packages = fetcher.system_packages(pins.devcontainer.packages)
        large = {f"debs/{name}": digest for name, digest in packages.items()}
        build_image(
            engine,
            DEVCONTAINER_IMAGE,
            BuildInputs({"Dockerfile": dockerfile}, large, {"CROSS": cross}),
            labels={KIND_LABEL: "dev", CONTENT_LABEL: content},
            parent=train,
            layout=layout,
            reporter=reporter,
        )
    reporter.step(f"{DEVCONTAINER_IMAGE} made")
    return DEVCONTAINER_IMAGE
