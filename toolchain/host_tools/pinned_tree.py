"""The pinned TensorFlow Lite Micro tree for steps that run without the cross image.

It stands where ``$TOOLCHAIN_TFLM`` says, in ``/opt/tflm`` as in the image, or is unpacked into the
cache from the pinned crate, which is fetched by the machine's cargo. Wherever it stands, it is used
only if it has exactly the pinned files.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.digest import Digest
from toolchain.disk import space_checked
from toolchain.errors import DigestMismatchError, NetworkError, UnpinnedToolError
from toolchain.files import remove_tree
from toolchain.flock import exclusive
from toolchain.images.downloads import Downloads
from toolchain.layout import Layout
from toolchain.paths import user_path
from toolchain.pins import Pins, TflmPins

TREE_VARIABLE = "TOOLCHAIN_TFLM"
IMAGE_TREE = Path("/opt/tflm")
IMAGE_LICENCE = Path("/usr/share/doc/tflm")
MAKEFILE = PurePosixPath("tensorflow/lite/micro/tools/make/Makefile")
_GENERATED = PurePosixPath("tensorflow/lite/micro/tools/make/gen")
_SOURCE = "submodules/tensorflow/"
_LEFT_OUT = ("submodules/tensorflow/tensorflow/lite/micro/tools/make/downloads/image_recognition",)
_LICENCE = "LICENSE-APACHE"
_CARGO_SECONDS = 600


@dataclass(frozen=True)
class PinnedTree:
    """The tree as make needs it.

    Attributes:
        folder: its root, with the image's Makefile in it; never written to.
        licence: folder with its ``copyright``.
    """

    folder: Path
    licence: Path


def tree_sha256(folder: Path, licence: Path) -> str:
    """Return the digest over names and contents of a tree and of its licence.

    Left out are what make writes by default, and the Makefile, which is the project's.

    Raises:
        OSError: it cannot be read, or a folder in it is a symbolic link.
    """
    lines = [f"{Digest.of_file(licence / 'copyright').sha256}  copyright\n"]
    for path in _files(folder):
        name = PurePosixPath(path.relative_to(folder).as_posix())
        if name != MAKEFILE and not name.is_relative_to(_GENERATED):
            lines.append(f"{Digest.of_file(path).sha256}  {name}\n")
    # A file's name need not be text.
    return hashlib.sha256(os.fsencode("".join(sorted(lines)))).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, onerror=_raise):
        for name in folders:
            # Its files would be seen by the compiler and not here; no pinned tree has one.
            if Path(root, name).is_symlink():
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(Path(root, name)))
        yield from (Path(root, name) for name in names)


def _raise(error: OSError) -> None:
    raise error


def pinned_tree(layout: Layout, pins: Pins, environ: Mapping[str, str] = os.environ) -> PinnedTree:
    """Return the pinned tree, made in the cache where it stands nowhere yet.

    Raises:
        UsageError: ``$TOOLCHAIN_TFLM`` names no path.
        UnpinnedToolError: what it names is not the tree, or there is no cargo.
        NetworkError: the crate has to be fetched and cannot.
        DigestMismatchError: what was fetched is not the pinned crate.
        DiskFullError: there is no room.
    """
    named = environ.get(TREE_VARIABLE)
    if named:
        folder = user_path(named)
        tree = PinnedTree(folder, _licence_of(folder))
        if not _is_pinned(tree, layout, pins):
            raise UnpinnedToolError(
                f"{folder} is not the pinned TensorFlow Lite Micro tree",
                why=f"{TREE_VARIABLE} names it, but its files or its Makefile are others",
                next_step=f"unset {TREE_VARIABLE}: then the tree is made from the pinned crate",
            )
        return tree
    image = PinnedTree(IMAGE_TREE, IMAGE_LICENCE)
    if _is_pinned(image, layout, pins):
        return image
    place = layout.trees / pins.tflm.sha256[:24]
    kept = PinnedTree(place / "tree", place / "doc")
    if not _is_pinned(kept, layout, pins):
        _make(kept, place, layout, pins, environ)
    return kept


def _licence_of(folder: Path) -> Path:
    beside = folder.parent / "doc"
    return beside if (beside / "copyright").is_file() else IMAGE_LICENCE


def _is_pinned(tree: PinnedTree, layout: Layout, pins: Pins) -> bool:
    try:
        return (
            tree_sha256(tree.folder, tree.licence) == pins.content.tree
            and (tree.folder / MAKEFILE).read_bytes() == _makefile(layout).read_bytes()
        )
    except OSError:
        return False


def _makefile(layout: Layout) -> Path:
    return layout.project / "tflm/image/Makefile"


def _make(
    tree: PinnedTree, place: Path, layout: Layout, pins: Pins, environ: Mapping[str, str]
) -> None:
    downloads = Downloads(layout.downloads)
    if not downloads.is_intact(pins.tflm.digest):
        _fetch_crate(pins.tflm, downloads, environ)
    with space_checked(layout.cache):
        place.parent.mkdir(parents=True, exist_ok=True)
        # Another checkout with this cache may be making it: what it has made is in use at once.
        with exclusive(place.with_name(f"{place.name}.lock")):
            if not _is_pinned(tree, layout, pins):
                _put_in_place(downloads.path(pins.tflm.digest), place, layout)
    if not _is_pinned(tree, layout, pins):
        raise DigestMismatchError(
            f"the tree of the crate {pins.tflm.file_name} is not the pinned one",
            why="pins.toml names another content than the crate has",
            next_step="put [content] of pins.toml right",
        )


def _put_in_place(crate: Path, place: Path, layout: Layout) -> None:
    # Only who holds the lock writes here: whatever else there is was left by one who was killed.
    for left in place.parent.glob(f".{place.name}.*"):
        remove_tree(left)
    scratch = place.with_name(f".{place.name}.{os.getpid()}-{os.urandom(4).hex()}")
    try:
        _unpack(crate, scratch)
        shutil.copyfile(_makefile(layout), scratch / "tree" / MAKEFILE)
        remove_tree(place)
        scratch.rename(place)
    finally:
        remove_tree(scratch)


def _unpack(crate: Path, scratch: Path) -> None:
    """Write what the cross image has of a crate, regular files only."""
    licences = []
    with tarfile.open(crate) as archive:
        for member in archive:
            name = member.name.partition("/")[2]
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is None or ".." in PurePosixPath(name).parts:
                continue
            if PurePosixPath(name).name == _LICENCE:
                licences.append(stream.read())
            if name.startswith(_SOURCE) and not name.startswith(_LEFT_OUT):
                target = scratch / "tree" / name.removeprefix(_SOURCE)
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(stream, file)
    (scratch / "doc").mkdir(parents=True)
    (scratch / "doc/copyright").write_bytes(b"".join(licences))


def _fetch_crate(pin: TflmPins, downloads: Downloads, environ: Mapping[str, str]) -> None:
    """Have the machine's cargo download the crate into its own registry, and take it from there."""
    from toolchain.images.site import site_settings

    path = environ.get("PATH", os.defpath)
    cargo = shutil.which("cargo", path=path)
    if cargo is None:
        raise UnpinnedToolError(
            "the pinned TensorFlow Lite Micro tree is not on this machine",
            why="it is fetched by cargo, and there is no cargo on PATH",
            next_step=f"install cargo, or let {TREE_VARIABLE} name a copy of the cross image's "
            f"{IMAGE_TREE}",
        )
    index = site_settings(environ).cargo_index
    command = [cargo, "info", "--quiet", *(("--index", index) if index else ())]
    home = Path(environ.get("CARGO_HOME") or os.path.expanduser("~/.cargo"))  # noqa: PTH111
    try:
        subprocess.run(
            [*command, f"{pin.crate}@{pin.version}"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CARGO_SECONDS,
            check=True,
        )
    except OSError as error:
        raise UnpinnedToolError(
            f"{cargo} cannot be run",
            why=os.strerror(error.errno or 0),
            next_step=f"install cargo anew, or let {TREE_VARIABLE} name a copy of the cross "
            f"image's {IMAGE_TREE}",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NetworkError(f"cargo did not fetch {pin.file_name} in time") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise NetworkError(
            f"cargo could not fetch {pin.file_name}", why=said.splitlines()[-1] if said else ""
        ) from error
    found = sorted(home.glob(f"registry/cache/*/{pin.file_name}"))
    if not found:
        raise NetworkError(
            f"cargo did not fetch {pin.file_name}",
            why=f"it is not in {home}/registry; cargo before version 1.82 has no 'info'",
            next_step=f"let {TREE_VARIABLE} name a copy of the cross image's {IMAGE_TREE}",
        )
    downloads.add(found[0], pin.file_name, frozenset({pin.sha256}))
