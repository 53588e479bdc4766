"""Lists and removes this project's images in an engine; all of them carry its labels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from toolchain.engine.connection import Engine
from toolchain.images.definition import CONTENT_LABEL, KIND_LABEL, KINDS, PARENTS


@dataclass(frozen=True)
class StoredImage:
    """An image of this project.

    Attributes:
        identifier: the engine's own name of it.
        names: its tags; empty for one that lost them.
        kind: one of ``KINDS``, or what another version of this project made.
        content: sha256 over what it was made from.
        size_bytes: as ``docker image inspect`` says.
    """

    identifier: str
    names: tuple[str, ...]
    kind: str
    content: str
    size_bytes: int


def list_images(engine: Engine) -> tuple[StoredImage, ...]:
    """Return all images of this project, of whichever checkout, sorted by kind and name."""
    found = []
    for image in engine.client.images.list(filters={"label": KIND_LABEL}):
        labels = image.labels or {}
        found.append(
            StoredImage(
                identifier=str(image.id),
                names=tuple(image.tags),
                kind=str(labels.get(KIND_LABEL, "")),
                content=str(labels.get(CONTENT_LABEL, "")),
                size_bytes=int(image.attrs["Size"]),
            )
        )
    return tuple(sorted(found, key=lambda item: (item.kind, item.names)))


def remove_images(engine: Engine, *, keep: Collection[str] = ()) -> tuple[StoredImage, ...]:
    """Remove this project's images except those that have a name in ``keep``.

    An image that a container still uses, or that is the parent of a kept one, stays.

    Returns:
        What was removed.
    """
    from docker.errors import APIError

    removed = []
    # Children before what they were made on.
    for item in sorted(list_images(engine), key=lambda image: -_height(image.kind)):
        if not set(item.names).isdisjoint(keep):
            continue
        try:
            for name in item.names or (item.identifier,):
                engine.client.images.remove(name)
        except APIError:
            continue
        removed.append(item)
    return tuple(removed)


def _height(kind: str) -> int:
    """Return how many images are below one of a kind."""
    for known in KINDS:
        if known == kind:
            parent = PARENTS[known]
            return 0 if parent is None else 1 + _height(parent)
    return 0
