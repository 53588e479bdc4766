"""A library for the Arduino IDE: sources of the runtime, and the application as its example.

Layout: Arduino's library specification (``library.properties``, ``src`` compiled recursively with
``src`` itself as the only include folder, ``examples/<name>/<name>.ino``). Names of folders inside
``src`` and of the example's files: the libraries that TensorFlow published in 2019 to 2021.
"""

from __future__ import annotations

import io
import posixpath
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from toolchain.boards import Board, Format
from toolchain.firmware.formats.base import Files, FirmwareFormat, FormatError
from toolchain.firmware.formats.stored_zip import UNREADABLE, stored_zip

ARCHIVE = PurePosixPath("sources.tar")
COMPILED = PurePosixPath("sources.txt")
"""What the step ``sources`` makes: files of the tree, and which of them are compiled."""

TOP_FOLDER = "tensorflow_lite"

_DOWNLOADS = PurePosixPath("tensorflow/lite/micro/tools/make/downloads")
_INCLUDE_FOLDERS = (
    PurePosixPath(),
    _DOWNLOADS / "flatbuffers" / "include",
    _DOWNLOADS / "gemmlowp",
    _DOWNLOADS / "ruy",
)
_SOURCE = PurePosixPath("src")
_EXAMPLES = PurePosixPath("examples")
_MARKER = "TensorFlowLite.h"
_OVERLAY = PurePosixPath("tflm")
_COMMON = _OVERLAY / "common"
_ARDUINO = _OVERLAY / "arduino"
_MAIN = "main_functions.cc"
_LEFT_OUT = frozenset({"main.cc", "main_functions.h", "hello_world_test.cc"})
_LICENCES = {
    PurePosixPath("copyright"): PurePosixPath("LICENSE"),
    _DOWNLOADS / "ruy" / "LICENSE": _SOURCE / "third_party" / "ruy" / "LICENSE",
}
_SKETCH_HEADS = {
    "hello_world": "A neural network computes a sine, which dims the built-in LED and is printed "
    "on Serial.",
    "model_runner": "Runs a model on the cases that were built in; prints its outputs on Serial.",
}
_INCLUDE = re.compile(
    rb'^(?P<head>[ \t]*#[ \t]*include[ \t]*)(?P<name>"[^"]+"|<[^>]+>)', re.MULTILINE
)
# A header of that name exists in one old Arduino library only; the C++ library has <utility>.
_REPLACED_HEADERS = {b"<utility.h>": b"<utility>"}
_COMPILED_SUFFIXES = {".cpp", ".c", ".S", ".ino"}


@dataclass(frozen=True)
class _Place:
    """A file on its way into the library.

    Attributes:
        path: in the library.
        data: as it was.
    """

    path: PurePosixPath
    data: bytes


def library_files(files: Files) -> Mapping[PurePosixPath, bytes]:
    """Return the files of the library, by path below its top folder.

    Args:
        files: what the step ``sources`` made, ``tflm/common``, ``tflm/<application>``,
            ``tflm/arduino``, ``boards/common/board.h`` and ``model/<model>``.

    Raises:
        FormatError: a source is missing, or would be compiled and also be included.
    """
    places = dict(_places(files))
    library = {
        place.path: _rewritten(old, place, places)
        for old, place in places.items()
        if place.path.suffix in {".h", ".inc", *_COMPILED_SUFFIXES}
    }
    library |= {place.path: place.data for place in places.values() if place.path not in library}
    application = _application_of(files)
    example = _EXAMPLES / application
    main = library.pop(example / PurePosixPath(_MAIN).with_suffix(".cpp"))
    library[example / f"{application}.ino"] = _sketch(_SKETCH_HEADS[application], main)
    return dict(sorted(library.items()))


def _application_of(files: Files) -> str:
    names = {path.parent.name for path in files if path.name == _MAIN}
    if len(names) != 1 or not names <= _SKETCH_HEADS.keys():
        raise FormatError(f"there is not one application but {sorted(names) or 'none'}")
    return names.pop()


def _places(files: Files) -> Iterator[tuple[PurePosixPath, _Place]]:
    tree = _read_archive(files[ARCHIVE])
    compiled = {PurePosixPath(line) for line in files[COMPILED].decode("ascii").split()}
    if not compiled or not compiled <= tree.keys():
        missing = sorted(str(path) for path in compiled - tree.keys())
        raise FormatError(f"the sources of the runtime are incomplete: {missing or 'none'}")
    for path, data in tree.items():
        yield path, _Place(_tree_place(path, is_compiled=path in compiled), data)
    application = _application_of(files)
    for path, data in files.items():
        place = _application_place(path, application, files)
        if place is not None:
            yield path, _Place(place, data)


def _read_archive(data: bytes) -> dict[PurePosixPath, bytes]:
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream is not None:
                    found[PurePosixPath(member.name)] = stream.read()
    except tarfile.TarError as error:
        raise FormatError(f"the archive of the runtime's sources is damaged: {error}") from error
    return found


def _tree_place(path: PurePosixPath, *, is_compiled: bool) -> PurePosixPath:
    if path in _LICENCES:
        return _LICENCES[path]
    place = path
    if path.is_relative_to(_DOWNLOADS):
        place = "third_party" / path.relative_to(_DOWNLOADS)
    if path.suffix == ".cc":
        # What another file includes must not be compiled on its own too.
        place = place.with_suffix(".cpp" if is_compiled else ".inc")
    return _SOURCE / place


def _application_place(path: PurePosixPath, application: str, files: Files) -> PurePosixPath | None:
    """Return where a file of the application goes, None if the library has no use for it."""
    if path.parent == _ARDUINO:
        if path.name == _MARKER:
            return _SOURCE / path.name
        if path.suffix != ".cc":
            return PurePosixPath(path.name)
        if path.name != "board.cc" and _OVERLAY / application / path.name not in files:
            return None
    elif path.parent in {_COMMON, _OVERLAY / application}:
        replaced = _ARDUINO / path.name in files
        if replaced or path.name in _LEFT_OUT:
            return None
    example = _EXAMPLES / application
    if path.suffix == ".cc":
        return example / path.with_suffix(".cpp").name
    return example / path.name if path.suffix == ".h" else None


def _rewritten(old: PurePosixPath, place: _Place, places: Mapping[PurePosixPath, _Place]) -> bytes:
    """Return a file's text with each include pointing to where the library has the file."""
    model = next((path.parent for path in places if path.name == "model_data.h"), None)
    folders = [old.parent, *_INCLUDE_FOLDERS, *([model] if model else [])]

    def replace(match: re.Match[bytes]) -> bytes:
        name = match["name"]
        if name in _REPLACED_HEADERS:
            return match["head"] + _REPLACED_HEADERS[name]
        for folder in folders:
            path = PurePosixPath(posixpath.normpath(folder / name[1:-1].decode("utf-8")))
            if path in places:
                if places[path].path.suffix in _COMPILED_SUFFIXES:
                    raise FormatError(f"{path} is compiled and also included by {old}")
                return match["head"] + b'"' + _seen_from(place, places[path]).encode() + b'"'
        return match[0]

    text = _INCLUDE.sub(replace, place.data)
    if place.path.name == _MARKER or not (
        place.path.is_relative_to(_SOURCE) or place.path.suffix in _COMPILED_SUFFIXES
    ):
        return text
    return b'#include "%s"\n' % _MARKER.encode() + text


def _seen_from(includer: _Place, included: _Place) -> str:
    if included.path.is_relative_to(_SOURCE):
        return str(included.path.relative_to(_SOURCE))
    if includer.path.is_relative_to(_SOURCE):
        raise FormatError(f"{includer.path} includes {included.path}, which is not of the library")
    return included.path.name


def _sketch(head: str, main_functions: bytes) -> bytes:
    lines = main_functions.decode("utf-8").splitlines(keepends=True)
    # The comments at its head are about the toolchain; setup() and loop() are declared by the core.
    body = [line for line in lines if "main_functions.h" not in line]
    while body and (body[0].startswith("//") or not body[0].strip() or _MARKER in body[0]):
        del body[0]
    return (f"// {head}\n\n#include <{_MARKER}>\n\n" + "".join(body)).encode("utf-8")


def write_archive(library: Mapping[PurePosixPath, bytes]) -> bytes:
    """Return the zip archive of the library's files; see ``stored_zip``."""
    return stored_zip({f"{TOP_FOLDER}/{path}": data for path, data in library.items()})


def read_archive(data: bytes) -> Mapping[PurePosixPath, bytes]:
    """Return the library's files from an archive.

    Raises:
        FormatError: it is no zip archive, is damaged, or has a path twice or outside the folder.
    """
    library: dict[PurePosixPath, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                path = PurePosixPath(entry.filename)
                if path.parts[0] != TOP_FOLDER or ".." in path.parts or path.is_absolute():
                    raise FormatError(f"'{path}' is outside the folder {TOP_FOLDER}")
                path = path.relative_to(TOP_FOLDER)
                if path in library:
                    raise FormatError(f"'{path}' is there twice")
                library[path] = archive.read(entry)
    except FormatError:
        raise
    except UNREADABLE as error:
        raise FormatError(f"it is no readable zip archive: {error}") from error
    return library


def check_library(library: Mapping[PurePosixPath, bytes]) -> None:
    """Check what the Arduino IDE needs of a library.

    Raises:
        FormatError: a property or file is missing, a source has a name that is not compiled, or an
            include points to a file that is not there.
    """
    properties = dict(
        line.split("=", 1)
        for line in library.get(PurePosixPath("library.properties"), b"").decode().splitlines()
        if "=" in line
    )
    for name in ("name", "version", "author", "maintainer", "sentence", "category", "includes"):
        if not properties.get(name):
            raise FormatError(f"library.properties does not say its '{name}'")
    for path in (_SOURCE / properties["includes"], PurePosixPath("LICENSE")):
        if path not in library:
            raise FormatError(f"{path} is missing")
    sketches = [path for path in library if path.suffix == ".ino"]
    if [path.parent for path in sketches] != [_EXAMPLES / path.stem for path in sketches] or (
        len(sketches) != 1
    ):
        raise FormatError(f"there is not one example but {sorted(map(str, sketches))}")
    for path, data in library.items():
        if path.suffix == ".cc":
            raise FormatError(f"{path} is not compiled: the builder knows .cpp and .c")
        for match in _INCLUDE.finditer(data):
            name = match["name"][1:-1].decode("utf-8", "replace")
            if name.startswith(("tensorflow/", "third_party/")) and _SOURCE / name not in library:
                raise FormatError(f"{path} includes {name}, which is not there")


def write(_board: Board, files: Files) -> bytes:
    """Return the library as a zip archive: the same bytes for the same files.

    Raises:
        FormatError: see ``library_files``.
    """
    return write_archive(library_files(files))


def check(_board: Board, files: Files, data: bytes) -> None:
    """Read the archive back, compare it with the files, and check it as the IDE would.

    Raises:
        FormatError: it holds something else, or is no library.
    """
    library = read_archive(data)
    if library != library_files(files):
        raise FormatError("it does not hold the files that were put into it")
    check_library(library)


FORMATS: Mapping[Format, FirmwareFormat] = {"arduino_library": FirmwareFormat(write, check, None)}
