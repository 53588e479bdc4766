"""Remembers what images are that were pushed or pulled, by their names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.errors import PinsError
from toolchain.files import write_atomically
from toolchain.layout import Layout

SHARED_RECORD = "docker/shared-images.json"
SCHEMA = "tinyml-toolchain/shared-images/1"
_SETTINGS = ("Cmd", "Entrypoint", "Env", "Labels", "User", "Volumes", "WorkingDir", "OnBuild")


@dataclass(frozen=True)
class KnownImage:
    """What is known of an image that was pushed or pulled.

    Attributes:
        config: digest of its configuration, such as ``sha256:...``: what an engine calls its id.
        identity: sha256 over its layers and settings, the same in every kind of engine.
    """

    config: str
    identity: str


def known_image(about: Mapping[str, Any]) -> KnownImage:
    """Return what to remember of an image.

    Args:
        about: what the engine says of it (``docker image inspect``).
    """
    settings = about.get("Config") or {}
    described = {
        "architecture": about.get("Architecture"),
        "os": about.get("Os"),
        "layers": (about.get("RootFS") or {}).get("Layers"),
        "settings": {key: settings.get(key) or None for key in _SETTINGS},
    }
    text = json.dumps(described, sort_keys=True)
    return KnownImage(str(about.get("Id")), hashlib.sha256(text.encode()).hexdigest())


class SharedRecord:
    """Names of images and what they are, in a file.

    Args:
        path: the file; made when something is remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, KnownImage]:
        """Return all that is remembered.

        Raises:
            PinsError: the file cannot be understood.
        """
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            if document["schema"] != SCHEMA:
                raise ValueError(f"its schema is not {SCHEMA}")
            return {str(name): KnownImage(**item) for name, item in document["images"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PinsError(
                f"{self._path} cannot be used",
                why=f"it says which images may be pulled, and cannot be understood: {error}",
                next_step="restore it from git, or remove it: pulled images are then taken on the "
                "registry's word",
            ) from error

    def remember(self, images: Mapping[str, KnownImage]) -> bool:
        """Add images, in the place of what had their names; return whether the file changed.

        Raises:
            PinsError: the file cannot be understood.
            DiskFullError: there is no room.
        """
        before = self.read()
        now = {**before, **images}
        if now == before:
            return False
        document = {
            "schema": SCHEMA,
            "images": {
                name: {"config": item.config, "identity": item.identity}
                for name, item in sorted(now.items())
            },
        }
        write_atomically(self._path, (json.dumps(document, indent=1) + "\n").encode())
        return True


def project_record(layout: Layout) -> SharedRecord:
    """Return the checkout's record, which git hands on: what it names is trusted."""
    return SharedRecord(layout.project / SHARED_RECORD)


def user_record(layout: Layout) -> SharedRecord:
    """Return the record of what this user pulled: another image of the same name is refused."""
    return SharedRecord(layout.cache / "pulled-images.json")
