"""What the tests of releases share: a checkout that can be released, and sealing a changed one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.unit.commands_support import (
    EDGE,
    INT8,
    PROJECT,
    copy_project,
    firmware_contents,
    hello_world,
    hello_world_test,
    know,
    reference_json,
    session_in,
    steps_of,
)
from toolchain.commands.assembly import assemble, package_lists
from toolchain.digest import Digest
from toolchain.firmware.formats.stored_zip import stored_zip
from toolchain.layout import Layout
from toolchain.pins import PINS_FILE, load_pins
from toolchain.release.checks import members_of
from toolchain.release.manifest import (
    MANIFEST,
    PROVENANCE,
    SUMS,
    Manifest,
    canonical,
    read_manifest,
    render_manifest,
)
from toolchain.release.provenance import render_provenance
from toolchain.release.sums import render_sums
from toolchain.session import Session

Files = Mapping[str, bytes]

VERSION = "1.2-rc1"
TFLITE = b"a model"
ARCHIVE = f"tinyml-toolchain-{VERSION}-sparkfun_edge.zip"
COMPILER = load_pins(PROJECT / PINS_FILE).cross.packages["gcc-arm-none-eabi"]
PACKAGES = {
    "train": "libc6 2.41-12 amd64\npython3.13 3.13.5-2 amd64\na-wheel==1.0\n",
    "cross": f"gcc-arm-none-eabi {COMPILER.version} amd64\nlibc6 2.41-12 amd64\n",
}


def releasable(folder: Path) -> Layout:
    """Return a checkout with everything that a release is made of."""
    layout = copy_project(folder)
    for name in ("LICENSE", "NOTICE"):
        shutil.copy(PROJECT / name, layout.project)
    return layout


def know_release(
    session: Session,
    *,
    test: bytes | None = None,
    packages: Mapping[str, str] = PACKAGES,
) -> None:
    """Let every step of the release of the int8 model for the SparkFun Edge be known."""
    reference = json.loads(reference_json())
    reference["model_sha256"] = Digest.of_bytes(TFLITE).sha256
    steps = steps_of(session, tests=True)
    contents = {
        **firmware_contents(hello_world()),
        **firmware_contents(test or hello_world_test(), "hello_world_test"),
        ("convert sine", "sine_int8.tflite"): TFLITE,
        (f"reference {INT8.name}", "reference.json"): json.dumps(reference).encode(),
        **{(f"packages {kind}", "packages.txt"): text.encode() for kind, text in packages.items()},
    }
    know(session, [*steps, *package_lists(session, steps)], contents)


def make_release(layout: Layout) -> Files:
    """Return the files of a release of a checkout, built from what is known."""
    with session_in(layout) as session:
        know_release(session)
        return assemble(session, [EDGE], INT8, VERSION).files


def write(files: Files, folder: Path) -> Path:
    """Make ``folder`` hold exactly ``files``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def with_sums(files: Files) -> Files:
    """Return ``files`` with checksums that agree."""
    rest = {name: data for name, data in files.items() if name != SUMS}
    return {**rest, SUMS: render_sums(rest)}


def sealed(files: Files, changed: Mapping[str, Any]) -> Files:
    """Return ``files`` with a changed manifest, and with provenance and checksums that agree."""
    manifest = Manifest.model_validate_json(canonical(changed))
    made = {MANIFEST: render_manifest(manifest), PROVENANCE: render_provenance(manifest)}
    return with_sums({**files, **made})


def members(files: Files) -> dict[str, bytes]:
    """Return what is in the archive."""
    (archive,) = read_manifest(files[MANIFEST]).archives
    return dict(members_of(archive, files[ARCHIVE]))


def with_member(files: Files, name: str, data: bytes) -> Files:
    """Return a release with another member in its archive, everything around it made anew."""
    stem = ARCHIVE.removesuffix(".zip")
    inside = {**members(files), name: data}
    archive = stored_zip({f"{stem}/{path}": content for path, content in inside.items()})
    document = json.loads(files[MANIFEST])
    (record,) = document["archives"]
    record |= {"sha256": Digest.of_bytes(archive).sha256, "size_bytes": len(archive)}
    for each in record["files"]:
        if each["path"] == name:
            each |= {"sha256": Digest.of_bytes(data).sha256, "size_bytes": len(data)}
    return sealed({**files, ARCHIVE: archive}, document)


def flipped(data: bytes, at: int, bit: int) -> bytes:
    """Return ``data`` with one bit changed."""
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


Path_ = tuple[str | int, ...]


def leaves(document: Any, place: Path_ = ()) -> Iterator[Path_]:
    """Yield the place of every value in a JSON document."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from leaves(value, (*place, key))
    elif isinstance(document, list):
        for number, value in enumerate(document):
            yield from leaves(value, (*place, number))
    else:
        yield place


def other_value(value: Any) -> Any:
    """Return another value of the same kind, as near as can be."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("0" if value[-1:] != "0" else "1")
    raise TypeError(f"there is no other {value!r}")


def with_leaf(data: bytes, place: Path_) -> bytes:
    """Return a canonical JSON document in which one value is another one."""
    document = json.loads(data)
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = other_value(inner[place[-1]])
    return canonical(document)
