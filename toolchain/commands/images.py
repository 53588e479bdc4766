"""Makes and lists the container images."""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.console import Reporter
from toolchain.layout import project_layout


@dataclass(frozen=True)
class AvailableImage:
    """An image that the engine has.

    Attributes:
        size_bytes: as the engine counts it, layers unpacked.
    """

    name: str
    size_bytes: int


def ensure_all_images(reporter: Reporter) -> tuple[AvailableImage, ...]:
    """Bring every image that steps use into the engine and return them.

    Raises:
        ToolchainError: there is no engine, or an image cannot be made.
    """
    from toolchain.actions import project_lock
    from toolchain.engine import open_engine
    from toolchain.images import KINDS, image_name, project_pins
    from toolchain.images.build import ensure_image

    layout = project_layout()
    pins = project_pins(layout)
    found = []
    with project_lock(layout, reporter), open_engine(layout, reporter) as engine:
        for kind in KINDS:
            name = image_name(kind, pins, layout)
            ensure_image(engine, name, layout=layout, pins=pins, reporter=reporter)
            found.append(AvailableImage(name, engine.client.images.get(name).attrs["Size"]))
    return tuple(found)
