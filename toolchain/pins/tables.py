"""Typed reader of ``pins.toml``, the one list of everything pinned."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from toolchain.digest import Digest
from toolchain.errors import PinsError

PINS_FILE = "pins.toml"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
PackageName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]*$")]
DebianVersion = Annotated[str, Field(pattern=r"^([0-9]+:)?[A-Za-z0-9.+~-]+$")]
PythonVersion = Annotated[str, Field(pattern=r"^[0-9]+(\.[A-Za-z0-9]+)+$")]
Requirements = Annotated[Mapping[PackageName, PythonVersion], Field(min_length=1)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EnginePins(_Table):
    """The oldest Docker Engine API that is spoken, such as ``1.41``."""

    minimum_api: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+$")]


class DebianPins(_Table):
    """The operating system of all images.

    Attributes:
        suite: code name, as the mirror's folder is called.
        architecture: in Debian's words.
        registry_image: name and tag in an image registry, with its host where it is another one.
        registry_digest: digest of that image's manifest.
    """

    suite: Annotated[str, Field(pattern=r"^[a-z]+$")]
    architecture: Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
    registry_image: Annotated[
        str, Field(pattern=r"^([a-z0-9.-]+(:[0-9]+)?/)?[a-z0-9./_-]+:[A-Za-z0-9._-]+$")
    ]
    registry_digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class FilePin(_Table):
    """A file by content: ``size`` in bytes."""

    version: DebianVersion
    sha256: Sha256
    size: Annotated[int, Field(gt=0)]

    @property
    def digest(self) -> Digest:
        """Identity of the file."""
        return Digest(self.sha256, self.size)


class FetchPins(_Table):
    """Debian packages that the fetch stage installs for itself."""

    cargo_packages: tuple[PackageName, ...]
    pip_packages: tuple[PackageName, ...]


class CrossPins(_Table):
    """The cross compiler's Debian packages, complete on top of the base."""

    packages: Annotated[Mapping[PackageName, FilePin], Field(min_length=1)]


class HostCompilerPins(_Table):
    """The native compiler's Debian packages, on top of the cross image.

    What they need beyond these is the system's: the C library with its headers, and the kernel's.
    """

    packages: Annotated[Mapping[PackageName, FilePin], Field(min_length=1)]


class CratePin(FilePin):
    """A crate by the content of its file."""

    crate: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")]

    @property
    def file_name(self) -> str:
        """Name of the file that cargo downloads."""
        return f"{self.crate}-{self.version}.crate"


class TflmPins(CratePin):
    """The crate that carries TensorFlow Lite Micro; ``commit`` is TensorFlow's."""

    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


class PythonImagePins(_Table):
    """An image with Python.

    Attributes:
        python: minor version of the interpreter.
        system_packages: Debian packages of the final image.
        build_packages: Debian packages of the fetch and build stages.
        requirements: top-level wheels; the lock holds all.
    """

    python: Annotated[str, Field(pattern=r"^3\.[0-9]+$")]
    system_packages: tuple[PackageName, ...]
    build_packages: tuple[PackageName, ...]
    requirements: Requirements


class NotebookPins(_Table):
    """What the notebook image adds to the train image; the lock holds all that it needs."""

    requirements: Requirements


class DevcontainerPins(_Table):
    """Debian packages of the development container, beside the tools of train and cross image."""

    packages: tuple[PackageName, ...]


class HostPins(_Table):
    """What ``./invoke`` runs on: minor versions of Python, top-level requirements."""

    python: Annotated[tuple[str, ...], Field(min_length=1)]
    requirements: Requirements


class RemotePins(_Table):
    """What a remote cache, a remote executor and a worker need on top of the host's requirements.

    Installed when one is first asked for: most builds need none of it.
    """

    requirements: Requirements


class TestPins(_Table):
    """What the tests need on top of the host's requirements.

    Attributes:
        crates: register descriptions to compare with, by name.
    """

    __test__ = False

    requirements: Requirements
    crates: Mapping[PackageName, FilePin] = {}

    def crate(self, name: str) -> CratePin:
        """Return the pin of one of ``crates``."""
        return CratePin(crate=name, **self.crates[name].model_dump())


class RenodePins(_Table):
    """The release of Renode that the boards' files in ``boards/*/renode`` are written for.

    Attributes:
        archive: address of its archive for amd64.
        sha256: of the archive.
    """

    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$")]
    archive: Annotated[str, Field(pattern=r"^https://[^\s'\"]+$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ContentPins(_Table):
    """What the host engine compares this machine's tools with; sha256 in hexadecimal.

    Attributes:
        cross: of the Arm compiler and make, as ``host_tools.compiler_content`` computes it.
        native: of the host image's own compiler, likewise.
        tree: of the TFLM tree, as ``host_tools.pinned_tree`` computes it.
    """

    cross: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    native: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    tree: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Pins(_Table):
    """Everything in ``pins.toml``."""

    engine: EnginePins
    debian: DebianPins
    fetch: FetchPins
    cross: CrossPins
    host_compiler: HostCompilerPins
    tflm: TflmPins
    content: ContentPins
    train: PythonImagePins
    notebook: NotebookPins
    service: PythonImagePins
    devcontainer: DevcontainerPins
    host: HostPins
    remote: RemotePins
    renode: RenodePins
    test: TestPins


def load_pins(path: Path) -> Pins:
    """Read ``pins.toml``.

    Raises:
        PinsError: it is missing, not TOML, or a value is missing, unknown or malformed.
    """
    try:
        return Pins.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise PinsError(f"{path} cannot be read", why=str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PinsError(f"{path} is not TOML", why=str(error)) from error
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise PinsError(
            f"{path} has values that cannot be used",
            why=reasons,
            next_step="restore the file from git, or correct the values named above",
        ) from error
