"""One flipped byte or changed field anywhere in a release is found, and its file is named."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.unit.commands_support import PROJECT
from tests.unit.release_support import (
    ARCHIVE,
    VERSION,
    Files,
    flipped,
    leaves,
    make_release,
    members,
    releasable,
    sealed,
    with_leaf,
    with_member,
    with_sums,
    write,
)
from toolchain.digest import Digest
from toolchain.errors import ReleaseInvalidError, UsageError
from toolchain.firmware.formats import FormatError
from toolchain.firmware.formats.stored_zip import read_stored_zip, stored_zip
from toolchain.release.checks import check_release, first_difference
from toolchain.release.manifest import MANIFEST, PROVENANCE, SBOM, SUMS

BOARDS = PROJECT / "boards"
FLIPS_OF_A_SIDECAR = 15
FLIPS_OF_A_MEMBER = 6
FLIPS_OF_HEADERS = 20
CHANGED_FIELDS = 35


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Files:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
        patch.setattr("toolchain.commands.verify.IMAGE_INFERENCES", 40)
        patch.setattr("toolchain.commands.simulate.DEFAULT_INFERENCES", 40)
        return make_release(releasable(tmp_path_factory.mktemp("release")))


def refusal(files: Files, folder: Path) -> str:
    """Return why a release is refused."""
    with pytest.raises(ReleaseInvalidError) as caught:
        check_release(write(files, folder / "release"), BOARDS)
    return str(caught.value)


def test_a_release_in_which_everything_agrees_passes(release: Files, tmp_path: Path) -> None:
    found = check_release(write(release, tmp_path / "release"), BOARDS)
    assert found.archives == (ARCHIVE,)
    assert found.manifest.version == VERSION
    assert found.files == release


def test_one_archive_of_a_release_is_checked_without_the_others(
    release: Files, tmp_path: Path
) -> None:
    document = json.loads(release[MANIFEST])
    (edge,) = document["archives"]
    other = {**edge, "board": "zz", "path": f"tinyml-toolchain-{VERSION}-zz.zip"}
    document["archives"] = [edge, other]
    both = dict(sealed({**release, other["path"]: release[ARCHIVE]}, document))
    del both[other["path"]]
    folder = write(both, tmp_path / "release")
    assert check_release(folder / ARCHIVE, BOARDS).archives == (ARCHIVE,)
    with pytest.raises(ReleaseInvalidError, match=r"-zz\.zip is missing"):
        check_release(folder, BOARDS)


@pytest.mark.parametrize("name", [SUMS, MANIFEST, PROVENANCE, SBOM])
def test_a_flipped_bit_in_a_sidecar_is_found(release: Files, tmp_path: Path, name: str) -> None:
    chance = random.Random(name)
    for _ in range(FLIPS_OF_A_SIDECAR):
        at, bit = chance.randrange(len(release[name])), chance.randrange(8)
        changed = {**release, name: flipped(release[name], at, bit)}
        assert name in refusal(changed, tmp_path), (at, bit)


def test_a_flipped_bit_in_each_member_of_an_archive_is_found(
    release: Files, tmp_path: Path
) -> None:
    chance, archive = random.Random(1), release[ARCHIVE]
    inside = members(release)
    assert len(inside) == 15
    for name, data in inside.items():
        start = archive.index(data)
        for _ in range(FLIPS_OF_A_MEMBER):
            at, bit = start + chance.randrange(len(data)), chance.randrange(8)
            changed = {**release, ARCHIVE: flipped(archive, at, bit)}
            message = refusal(changed, tmp_path)
            assert ARCHIVE in message, (name, at, bit)
            assert name in message, (name, at, bit)


def test_a_flipped_bit_between_the_members_of_an_archive_is_found(
    release: Files, tmp_path: Path
) -> None:
    chance, archive = random.Random(2), release[ARCHIVE]
    taken: set[int] = set()
    for data in members(release).values():
        start = archive.index(data)
        taken |= set(range(start, start + len(data)))
    headers = sorted(set(range(len(archive))) - taken)
    for at in chance.sample(headers, FLIPS_OF_HEADERS):
        changed = flipped(archive, at, chance.randrange(8))
        assert ARCHIVE in refusal({**release, ARCHIVE: changed}, tmp_path)
        # Whatever is made anew around it, the archive itself is not as archives are.
        document = json.loads(release[MANIFEST])
        (record,) = document["archives"]
        record["sha256"] = Digest.of_bytes(changed).sha256
        assert ARCHIVE in refusal(sealed({**release, ARCHIVE: changed}, document), tmp_path)


def test_a_changed_field_of_the_manifest_is_found_although_the_checksums_agree(
    release: Files, tmp_path: Path
) -> None:
    old, chance = release[MANIFEST], random.Random(3)
    places = list(leaves(json.loads(old)))
    many = [place for place in places if place[0] == "sources"]
    few = [place for place in places if place[0] != "sources"]
    # One source stands for another; of the rest, something of every part.
    firsts = {tuple(key for key in place if isinstance(key, str)): place for place in few}
    chosen = {*chance.sample(few, CHANGED_FIELDS), *chance.sample(many, 5), *firsts.values()}
    for place in sorted(chosen, key=str):
        changed = with_leaf(old, place)
        assert MANIFEST in refusal(with_sums({**release, MANIFEST: changed}), tmp_path), place
        # The provenance agrees with its digest, too.
        provenance = release[PROVENANCE].replace(
            Digest.of_bytes(old).sha256.encode(), Digest.of_bytes(changed).sha256.encode()
        )
        files = with_sums({**release, MANIFEST: changed, PROVENANCE: provenance})
        assert MANIFEST in refusal(files, tmp_path), place


def test_a_changed_field_of_the_provenance_is_found_although_the_checksums_agree(
    release: Files, tmp_path: Path
) -> None:
    chance = random.Random(4)
    places = list(leaves(json.loads(release[PROVENANCE])))
    for place in chance.sample(places, CHANGED_FIELDS):
        changed = {**release, PROVENANCE: with_leaf(release[PROVENANCE], place)}
        message = refusal(with_sums(changed), tmp_path)
        assert PROVENANCE in message
        assert str(place[-1]) in message


def test_a_changed_field_of_the_components_is_found_although_all_digests_agree(
    release: Files, tmp_path: Path
) -> None:
    chance = random.Random(5)
    places = list(leaves(json.loads(release[SBOM])))
    for place in [("serialNumber",), *chance.sample(places, CHANGED_FIELDS)]:
        changed = with_leaf(release[SBOM], place)
        document = json.loads(release[MANIFEST])
        document["sbom"]["sha256"] = Digest.of_bytes(changed).sha256
        document["sbom"]["size_bytes"] = len(changed)
        assert f"{SBOM}: " in refusal(sealed({**release, SBOM: changed}, document), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("hello_world.bin", "hello_world.hex", "hello_world.elf", "hello_world.map"),
        *("hello_world_ambiq_image.bin", "hello_world_ambiq_wired_update.bin", "sine_int8.tflite"),
        *("reference.json", "junit.xml", "LICENSE", "NOTICE"),
    ],
)
def test_a_flipped_bit_is_found_although_everything_around_it_was_made_anew(
    release: Files, tmp_path: Path, name: str
) -> None:
    chance, data = random.Random(name), members(release)[name]
    for _ in range(4):
        changed = flipped(data, chance.randrange(len(data)), chance.randrange(8))
        message = refusal(with_member(release, name, changed), tmp_path)
        assert ARCHIVE in message
        assert name in message


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("verify.json", '"passed": true', '"passed": false'),
        ("verify.json", '"passed": true', '"passed": 1'),
        ("verify.json", '"target": "sparkfun_edge"', '"target": "another"'),
        ("verify.json", '"image_sha256": "', '"image_sha256": "0'),
        ("simulation.json", '"image_sha256": "', '"image_sha256": "0'),
        ("simulation.json", '"build_type": "release"', '"build_type": "debug"'),
        ("simulation.json", '"raw_out": ', '"raw_out": 1'),
        ("simulation.json", '"inferences"', '"another"'),
        ("simulation.json", "{", "["),
        ("size.json", '"elf_sha256": "', '"elf_sha256": "0'),
        ("size.json", '"target": "sparkfun_edge"', '"target": "another"'),
    ],
)
def test_a_report_of_something_else_is_found(
    release: Files, tmp_path: Path, name: str, old: str, new: str
) -> None:
    text = members(release)[name].decode()
    assert old in text
    changed = text.replace(old, new, 1).encode()
    assert name in refusal(with_member(release, name, changed), tmp_path)


@pytest.mark.parametrize(
    ("name", "place", "value"),
    [
        ("simulation.json", ("inferences", 3, "x_bits"), 0x7F80_0000),
        ("simulation.json", ("inferences", 3, "x_bits"), 1 << 32),
        ("simulation.json", ("inferences", 3, "x_bits"), "1"),
        ("simulation.json", ("inferences", 3, "raw_out"), 10**400),
        ("simulation.json", ("inferences",), {"a": 1}),
        ("verify.json", ("test",), [1]),
        ("verify.json", ("test", "judge"), "half a character: \ud800"),
        ("verify.json", ("test", "cases"), 1),
    ],
)
def test_a_report_that_cannot_be_compared_is_found(
    release: Files, tmp_path: Path, name: str, place: tuple[str | int, ...], value: object
) -> None:
    document = json.loads(members(release)[name])
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    changed = with_member(release, name, json.dumps(document).encode())
    assert "simulation.json" in refusal(changed, tmp_path)


def test_how_far_an_output_may_be_from_the_reference_is_not_the_reports_to_say(
    release: Files, tmp_path: Path
) -> None:
    document = json.loads(members(release)["verify.json"])
    document["test"] |= {"largest_difference": 50, "allowed_difference": 60}
    changed = with_member(release, "verify.json", json.dumps(document).encode())
    assert "an output is 50 from the reference" in refusal(changed, tmp_path)


@pytest.mark.parametrize("name", [SUMS, MANIFEST, PROVENANCE, SBOM, ARCHIVE])
def test_a_file_that_is_missing_is_named(release: Files, tmp_path: Path, name: str) -> None:
    assert name in refusal({key: release[key] for key in release if key != name}, tmp_path)
    if name != SUMS:
        rest = with_sums({key: release[key] for key in release if key != name})
        assert name in refusal(rest, tmp_path)


def test_a_file_too_many_is_named(release: Files, tmp_path: Path) -> None:
    assert "another.txt" in refusal({**release, "another.txt": b""}, tmp_path)
    assert "another.txt" in refusal(with_sums({**release, "another.txt": b""}), tmp_path)
    folder = write(release, tmp_path / "release")
    (folder / "folder").mkdir()
    with pytest.raises(ReleaseInvalidError, match="folder is no regular file"):
        check_release(folder, BOARDS)


def test_two_archives_that_changed_places_are_found(release: Files, tmp_path: Path) -> None:
    inside = members(release)
    swapped = with_member(release, "hello_world.hex", inside["hello_world.bin"])
    assert "hello_world.hex" in refusal(swapped, tmp_path)


def test_wrong_checksums_of_a_right_archive_are_told_apart(release: Files, tmp_path: Path) -> None:
    digest = Digest.of_bytes(release[ARCHIVE]).sha256.encode()
    wrong = release[SUMS].replace(digest, bytes(reversed(digest)))
    assert f"so that {SUMS} is wrong" in refusal({**release, SUMS: wrong}, tmp_path)


def test_what_is_no_release_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no release"):
        check_release(tmp_path / "nothing", BOARDS)
    with pytest.raises(ReleaseInvalidError, match="is missing"):
        check_release(tmp_path, BOARDS)


def test_an_archive_depends_on_its_members_alone_and_is_read_strictly() -> None:
    some = {"b/z": b"1", "b/a": b"22", "a": b""}
    data = stored_zip(some)
    assert stored_zip(dict(reversed(some.items()))) == data
    assert read_stored_zip(data) == some
    for damaged in (data[:-1], data + b"\0", b"", b"PK", data[:40]):
        with pytest.raises(FormatError):
            read_stored_zip(damaged)
    for at in range(len(data)):
        with pytest.raises(FormatError):
            read_stored_zip(flipped(data, at, at % 8))


def test_the_first_difference_is_named_by_its_path() -> None:
    assert first_difference({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}) == "a[1].b"
    assert first_difference({"a": 1}, {"a": True}) == "a"
    assert first_difference({"a": []}, {"a": [1]}) == "the length of a"
    assert first_difference({}, {"c": 1}) == "c"
    assert first_difference({"a": 1}, {"a": 1}) == ""
