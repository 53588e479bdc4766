"""The reader of pins.toml and of its locks."""

from __future__ import annotations

import copy
import re
import shutil
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.errors import PinsError
from toolchain.layout import project_layout
from toolchain.pins import (
    HOST_LOCK,
    NOTEBOOK_LOCK,
    PINS_FILE,
    REMOTE_LOCK,
    SERVICE_LOCK,
    TEST_LOCK,
    TRAIN_LOCK,
    LockedRequirement,
    Pins,
    check_locks,
    load_pins,
    normalised,
    parse_lock,
    read_lock,
)

PROJECT = project_layout().project
DOCUMENT = tomllib.loads((PROJECT / PINS_FILE).read_text())
LOCKS = (HOST_LOCK, TEST_LOCK, REMOTE_LOCK, TRAIN_LOCK, NOTEBOOK_LOCK, SERVICE_LOCK)

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
LOCKED = st.builds(
    LockedRequirement,
    name=st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)?", fullmatch=True),
    version=st.from_regex(r"[0-9]+(\.[0-9a-z]+){0,3}(\+[a-z]+)?", fullmatch=True),
    marker=st.sampled_from(["", "sys_platform == 'win32'", 'python_full_version < "3.13"']),
    hashes=st.frozensets(DIGESTS, min_size=1, max_size=3),
)


def write(folder: Path, document: dict[str, Any]) -> Path:
    """Write ``document`` as TOML: JSON's strings, numbers and lists are TOML's too."""
    import tomlkit

    path = folder / PINS_FILE
    path.write_text(tomlkit.dumps(document))
    return path


def test_the_projects_pins_can_be_read() -> None:
    pins = load_pins(PROJECT / PINS_FILE)
    assert pins.model_dump(mode="json") == DOCUMENT
    make = pins.cross.packages["make"]
    assert (make.digest.sha256, make.digest.size_bytes) == (make.sha256, make.size)
    assert pins.tflm.file_name == f"{pins.tflm.crate}-{pins.tflm.version}.crate"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("engine.minimum_api", "1"),
        ("engine.minimum_api", 1.41),
        ("debian.suite", "Trixie"),
        ("debian.suite", "../x"),
        ("debian.architecture", ""),
        ("debian.registry_image", "debian"),
        ("debian.registry_digest", "a" * 64),
        ("debian.registry_digest", "sha256:" + "A" * 64),
        ("fetch.cargo_packages", ["cargo; rm"]),
        ("fetch.unknown", 1),
        ("cross.packages", {}),
        ("cross.packages.make.sha256", "0" * 63),
        ("cross.packages.make.size", 0),
        ("cross.packages.make.size", -1),
        ("cross.packages.make.version", "1 2"),
        ("cross.packages.make.version", None),
        ("cross.packages.Make", DOCUMENT["cross"]["packages"]["make"]),
        ("tflm.commit", "33689c4"),
        ("tflm.crate", "a/b"),
        ("train.python", "2.7"),
        ("train.requirements", {}),
        ("train.requirements.numpy", ">=1"),
        ("host.python", []),
        ("host", None),
        ("more", {}),
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path: Path, path: str, value: object) -> None:
    document = copy.deepcopy(DOCUMENT)
    *parents, last = path.split(".")
    table = document
    for key in parents:
        table = table[key]
    if value is None:
        del table[last]
    else:
        table[last] = value
    with pytest.raises(PinsError) as caught:
        load_pins(write(tmp_path, document))
    assert path in caught.value.why
    assert PINS_FILE in caught.value.what
    assert caught.value.exit_code == 26


@pytest.mark.parametrize(
    "image",
    [
        "debian:trixie-slim",
        "mirror.example/debian:x",
        "mirror.example:5000/a/b_c:1",
        "127.0.0.1:5000/d:1",
    ],
)
def test_the_base_may_come_from_another_registry(tmp_path: Path, image: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["debian"]["registry_image"] = image
    assert load_pins(write(tmp_path, document)).debian.registry_image == image


@pytest.mark.parametrize("content", [b"[engine", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PINS_FILE).write_bytes(content)
    with pytest.raises(PinsError, match="is not TOML"):
        load_pins(tmp_path / PINS_FILE)


def test_missing_pins_are_named(tmp_path: Path) -> None:
    with pytest.raises(PinsError, match=re.escape(str(tmp_path / PINS_FILE))):
        load_pins(tmp_path / PINS_FILE)


def as_lock(items: list[LockedRequirement], continued: str, comment: str) -> str:
    lines = []
    for item in items:
        marker = f" ; {item.marker}" if item.marker else ""
        hashes = "".join(f"{continued}--hash=sha256:{digest}" for digest in sorted(item.hashes))
        lines.append(f"{comment}{item.name}=={item.version}{marker}{hashes}\n")
    return "".join(lines)


@settings(max_examples=30)
@given(
    items=st.lists(LOCKED, max_size=4, unique_by=lambda item: item.name),
    continued=st.sampled_from([" ", " \\\n    ", "  \\\n"]),
    comment=st.sampled_from(["", "# why\n", "\n", "   # --hash=x\n"]),
)
def test_a_lock_is_read_as_pip_reads_it(
    items: list[LockedRequirement], continued: str, comment: str
) -> None:
    assert parse_lock(as_lock(items, continued, comment), "a.lock") == tuple(items)


@given(st.text())
def test_any_lock_is_read_or_refused(text: str) -> None:
    with suppress(PinsError):
        assert all(item.hashes for item in parse_lock(text, "a.lock"))


@pytest.mark.parametrize(
    "line",
    [
        "tiny==1.0",
        "tiny>=1.0 --hash=sha256:" + "0" * 64,
        "tiny --hash=sha256:" + "0" * 64,
        "tiny==1.0 --hash=sha256:" + "0" * 63,
        "tiny==1.0 --hash=md5:" + "0" * 64,
        "tiny==1.0 --hash=sha256:" + "0" * 64 + " --global-option=x",
        "tiny @ file:///x --hash=sha256:" + "0" * 64,
        "--index-url http://mirror.example/simple",
        "-r other.txt",
        "./local",
    ],
)
def test_a_line_that_locks_nothing_is_refused(line: str) -> None:
    with pytest.raises(PinsError, match=r"a\.lock") as caught:
        parse_lock(f"# x\n{line}\n", "a.lock")
    assert "./invoke pins --update" in caught.value.next_step


@pytest.mark.parametrize(
    ("markers", "good"),
    [
        (("", ""), False),
        (("", "; sys_platform == 'win32'"), False),
        (("; sys_platform == 'win32'", ""), False),
        (("; sys_platform == 'win32'", "; sys_platform == 'win32'"), False),
        (("; sys_platform == 'win32'", "; sys_platform != 'win32'"), True),
    ],
)
def test_a_package_is_locked_once_for_each_case(markers: tuple[str, str], good: bool) -> None:
    text = "".join(
        f"{name}=={version} {marker} --hash=sha256:{'0' * 64}\n"
        for name, version, marker in zip(("Ti.ny", "ti-ny"), ("1.0", "2.0"), markers, strict=True)
    )
    if good:
        assert len(parse_lock(text, "a.lock")) == 2
        return
    with pytest.raises(PinsError, match=r"a\.lock has ti-ny twice: 1\.0 and 2\.0"):
        parse_lock(text, "a.lock")


@pytest.mark.parametrize(
    "names", [["A.B_c-D", "a-b-c-d", "a__b--c..d"], ["Six", "six"], ["x", "X"]]
)
def test_names_are_compared_as_pep_503_says(names: list[str]) -> None:
    assert len({normalised(name) for name in names}) == 1


@pytest.mark.parametrize("lock", LOCKS)
def test_the_projects_locks_are_whole(lock: str) -> None:
    items = read_lock(PROJECT / lock)
    keys = [(item.name, item.marker) for item in items]
    assert len(set(keys)) == len(keys) > 10


def test_the_projects_locks_agree_with_its_pins() -> None:
    check_locks(PROJECT, load_pins(PROJECT / PINS_FILE))


def test_the_tests_run_with_the_hosts_own_versions() -> None:
    host, test = ({(i.name, i.version) for i in read_lock(PROJECT / n)} for n in LOCKS[:2])
    assert host <= test


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "docker").mkdir()
    for lock in LOCKS:
        shutil.copyfile(PROJECT / lock, tmp_path / lock)
    return tmp_path


def changed(table: str, requirement: str, version: str) -> Pins:
    document = copy.deepcopy(DOCUMENT)
    document[table]["requirements"][requirement] = version
    return Pins.model_validate(document)


@pytest.mark.parametrize(
    ("table", "requirement", "lock"),
    [
        ("host", "docker", HOST_LOCK),
        ("remote", "grpcio", REMOTE_LOCK),
        ("test", "pytest", TEST_LOCK),
        ("train", "matplotlib", TRAIN_LOCK),
        ("notebook", "nbclient", NOTEBOOK_LOCK),
        ("service", "buildgrid", SERVICE_LOCK),
        ("host", "newcomer", HOST_LOCK),
    ],
)
def test_a_stale_lock_is_refused_with_both_versions(
    checkout: Path, table: str, requirement: str, lock: str
) -> None:
    old = DOCUMENT[table]["requirements"].get(requirement, "none")
    with pytest.raises(PinsError) as caught:
        check_locks(checkout, changed(table, requirement, "0.0.1"))
    assert caught.value.what.startswith(f"{lock} does not agree with pins.toml: ")
    assert f"{requirement} 0.0.1 (locked: {old})" in caught.value.what
    assert caught.value.next_step == "run ./invoke pins --update"


def test_a_lock_with_two_versions_of_one_requirement_is_stale(checkout: Path) -> None:
    path = checkout / HOST_LOCK
    path.write_text(f"{'docker'}==0.0.1 --hash=sha256:{'0' * 64}\n" + path.read_text())
    with pytest.raises(PinsError, match=r"has docker twice: 0\.0\.1 and"):
        check_locks(checkout, load_pins(PROJECT / PINS_FILE))


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("content", [None, b"\xff", b"six"])
def test_a_missing_or_damaged_lock_is_named(
    checkout: Path, lock: str, content: bytes | None
) -> None:
    (checkout / lock).unlink()
    if content is not None:
        (checkout / lock).write_bytes(content)
    with pytest.raises(PinsError, match=Path(lock).name) as caught:
        check_locks(checkout, load_pins(PROJECT / PINS_FILE))
    assert "./invoke pins --update" in caught.value.next_step
