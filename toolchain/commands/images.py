"""Makes, lists and shares the container images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolchain.console import Reporter
from toolchain.layout import project_layout

if TYPE_CHECKING:
    from toolchain.images.sharing import PushedImage


@dataclass(frozen=True)
class AvailableImage:
    """An image that the engine has.

    Attributes:
        size_bytes: as the engine counts it, layers unpacked.
    """

    name: str
    size_bytes: int


def ensure_all_images(reporter: Reporter, *, registry: str = "") -> tuple[AvailableImage, ...]:
    """Bring every image that steps use into the engine and return them.

    Args:
        reporter: told what goes on.
        registry: asked first for what the engine does not have; empty for the user's setting.

    Raises:
        UsageError: ``registry`` is no address of one.
        ToolchainError: there is no engine, or an image cannot be made.
    """
    from toolchain.actions import project_lock
    from toolchain.engine import open_engine
    from toolchain.images import STEP_KINDS, project_pins
    from toolchain.images.ensure import ensure_images
    from toolchain.images.sharing import REGISTRY_VARIABLE, check_registry

    layout = project_layout()
    pins = project_pins(layout)
    environ = dict(os.environ)
    if registry:
        environ[REGISTRY_VARIABLE] = check_registry(registry)
    with project_lock(layout, reporter), open_engine(layout, reporter) as engine:
        names = ensure_images(
            engine, STEP_KINDS, layout=layout, pins=pins, reporter=reporter, environ=environ
        )
        return tuple(
            AvailableImage(name, engine.client.images.get(name).attrs["Size"]) for name in names
        )


def push_all_images(reporter: Reporter, registry: str) -> tuple[PushedImage, ...]:
    """Push every image that steps use, made first where it is missing, and record what they are.

    The record, ``docker/shared-images.json``, is for git: an image that is pulled under a name of
    it must be the one that was pushed.

    Raises:
        UsageError: ``registry`` is no address of one.
        NetworkError: it does not answer, or refuses.
        ToolchainError: there is no engine, or an image cannot be made.
    """
    from toolchain.actions import project_lock
    from toolchain.engine import open_engine
    from toolchain.images import STEP_KINDS, project_pins
    from toolchain.images.ensure import ensure_images
    from toolchain.images.making import making_images
    from toolchain.images.shared_record import SHARED_RECORD, project_record
    from toolchain.images.sharing import check_registry, push_image

    address, layout = check_registry(registry), project_layout()
    pins = project_pins(layout)
    pushed = []
    with project_lock(layout, reporter), open_engine(layout, reporter) as engine:
        names = ensure_images(engine, STEP_KINDS, layout=layout, pins=pins, reporter=reporter)
        for kind, name in zip(STEP_KINDS, names, strict=True):
            with making_images(engine, layout, reporter):
                pushed.append(push_image(engine, address, name, reporter))
            reporter.step(f"{kind} image: pushed to {address}")
        if project_record(layout).remember({item.name: item.known for item in pushed}):
            reporter.note(f"{SHARED_RECORD} names them now; commit it, so that others can check")
    return tuple(pushed)


def make_devcontainer_image(reporter: Reporter) -> str:
    """Bring the development container's image into the engine and return its name.

    Raises:
        ToolchainError: there is no engine, or an image cannot be made.
    """
    from toolchain.actions import project_lock
    from toolchain.engine import open_engine
    from toolchain.images import project_pins
    from toolchain.images.devcontainer import ensure_devcontainer_image

    layout = project_layout()
    pins = project_pins(layout)
    with project_lock(layout, reporter), open_engine(layout, reporter) as engine:
        return ensure_devcontainer_image(engine, layout=layout, pins=pins, reporter=reporter)
