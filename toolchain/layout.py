"""Where things stand: the project's folders and the user's cache."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from toolchain.paths import user_path

CACHE_VARIABLE = "TOOLCHAIN_CACHE"


@dataclass(frozen=True)
class Layout:
    """Folders of one checkout.

    Attributes:
        project: root of the checkout.
        cache: the user's cache, shared by all checkouts.
    """

    project: Path
    cache: Path

    @property
    def build(self) -> Path:
        """What the user looks at: outputs by target and model."""
        return self.project / "build"

    @property
    def dist(self) -> Path:
        """A packed release, and nothing else."""
        return self.project / "dist"

    @property
    def boards(self) -> Path:
        """One folder for each board."""
        return self.project / "boards"

    @property
    def downloads(self) -> Path:
        """Fetched files that passed their digest check, named by it."""
        return self.cache / "downloads"

    @property
    def store(self) -> Path:
        """Content-addressed store of step inputs and outputs."""
        return self.cache / "cas"

    @property
    def actions(self) -> Path:
        """Action cache."""
        return self.cache / "ac"

    @property
    def sandboxes(self) -> Path:
        """Scratch folders of running steps."""
        return self.cache / "sandboxes"

    @property
    def checked(self) -> Path:
        """Size reports of programs that passed their checks, by what was checked."""
        return self.cache / "checked"

    @property
    def packaged(self) -> Path:
        """Digests of files for flashing, by what they were made from."""
        return self.cache / "packaged"

    @property
    def machines(self) -> Path:
        """On which processor a network was trained, by the training."""
        return self.cache / "machines"

    @property
    def arenas(self) -> Path:
        """The smallest tensor arenas that were measured, by the firmware."""
        return self.cache / "arenas"

    @property
    def trees(self) -> Path:
        """Trees of TensorFlow Lite Micro as the images have them, unpacked for the host engine."""
        return self.cache / "tflm"

    @property
    def memos(self) -> tuple[Path, ...]:
        """Folders of what was found out or unpacked, and can be again."""
        return (self.checked, self.packaged, self.machines, self.arenas, self.trees)

    @property
    def engine(self) -> Path:
        """Socket, data and log of the private Docker Engine."""
        return self.cache / "engine"


def project_layout() -> Layout:
    """Return the layout of the checkout that this module belongs to.

    The cache is ``$TOOLCHAIN_CACHE`` or ``$XDG_CACHE_HOME/tinyml-toolchain`` or the platform's
    cache folder.

    Raises:
        UsageError: the variable names no path.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        cache = user_path(chosen).resolve()
    else:
        from platformdirs import user_cache_path

        cache = user_cache_path("tinyml-toolchain", appauthor=False)
    return Layout(project=Path(__file__).resolve().parent.parent, cache=cache)
