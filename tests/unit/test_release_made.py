"""What a release consists of, that it depends on its inputs alone, and how it is made again."""

from __future__ import annotations

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.unit.commands_support import (
    EDGE,
    INT8,
    INT8_PAIRS,
    PROJECT,
    hello_world_test,
    reference_json,
    session_in,
)
from tests.unit.release_support import (
    ARCHIVE,
    PACKAGES,
    TFLITE,
    VERSION,
    Files,
    know_release,
    make_release,
    members,
    releasable,
    sealed,
    with_member,
    write,
)
from toolchain.commands.package import package, release_engine
from toolchain.commands.reproduce import GivenPaths, reproduce
from toolchain.digest import Digest
from toolchain.errors import NotReproducibleError, UsageError, VerificationError
from toolchain.pins import TRAIN_LOCK, load_pins, parse_lock, read_lock
from toolchain.release.checks import CheckedRelease, check_release
from toolchain.release.junit import PERIOD_PARTS, Verdict, render_junit, verdicts
from toolchain.release.manifest import (
    MANIFEST,
    PROVENANCE,
    SBOM,
    SUMS,
    ReleasedModel,
    read_manifest,
)
from toolchain.release.sbom import check_sbom, make_sbom
from toolchain.release.version import chosen_version
from toolchain.session import EngineChoice

PINS = load_pins(PROJECT / "pins.toml")
MAKE = PINS.cross.packages["make"].version
ONE_WRONG = {raw: out + (raw == 7) for raw, out in INT8_PAIRS.items()}


@pytest.fixture(scope="module", autouse=True)
def _without_an_engine() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
        patch.setattr("toolchain.commands.verify.IMAGE_INFERENCES", 40)
        patch.setattr("toolchain.commands.simulate.DEFAULT_INFERENCES", 40)
        yield


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_release(releasable(tmp_path_factory.mktemp("release")))


def checked(files: Files, folder: Path) -> CheckedRelease:
    return check_release(write(files, folder / "a release"), PROJECT / "boards")


def test_an_archive_holds_the_files_that_were_built_simulated_and_verified(
    release: Files,
) -> None:
    inside = members(release)
    assert set(inside) == {
        *("hello_world.bin", "hello_world.hex", "hello_world.elf", "hello_world.map"),
        *("hello_world_ambiq_image.bin", "hello_world_ambiq_wired_update.bin"),
        *("sine_int8.tflite", "reference.json", "size.json", "simulation.json", "verify.json"),
        *("junit.xml", "FLASHING.md", "LICENSE", "NOTICE"),
    }
    assert inside["sine_int8.tflite"] == TFLITE
    assert inside["NOTICE"] == (PROJECT / "NOTICE").read_bytes()
    image = Digest.of_bytes(inside["hello_world.bin"]).sha256
    for report in ("size.json", "simulation.json", "verify.json"):
        assert json.loads(inside[report])["image_sha256"] == image
    assert set(release) == {ARCHIVE, SUMS, MANIFEST, PROVENANCE, SBOM}


def test_the_checksums_are_what_sha256sum_checks(release: Files, tmp_path: Path) -> None:
    folder = write(release, tmp_path / "release")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_dist_of_another_checkout_holds_the_same_bytes_and_nothing_else(
    release: Files, tmp_path: Path
) -> None:
    layout = releasable(tmp_path / "elsewhere")
    write({"of yesterday": b""}, layout.dist)
    with session_in(layout) as session:
        know_release(session)
        done = package(session, [EDGE], INT8, VERSION)
    assert done.folder == layout.dist
    found = {path.name: path.read_bytes() for path in done.folder.iterdir()}
    assert found == release
    assert {name: Digest.of_bytes(data) for name, data in found.items()} == done.files
    assert [path.name for path in layout.project.glob(".*")] == []
    for data in (*found.values(), *members(found).values()):
        assert str(tmp_path).encode() not in data
        assert str(PROJECT).encode() not in data


def test_what_does_not_pass_is_not_packaged(tmp_path: Path) -> None:
    layout = releasable(tmp_path)
    write({"of yesterday": b""}, layout.dist)
    with session_in(layout) as session:
        know_release(session, test=hello_world_test(ONE_WRONG))
        with pytest.raises(VerificationError):
            package(session, [EDGE], INT8, VERSION)
    assert [path.name for path in layout.dist.iterdir()] == ["of yesterday"]


def test_the_manifest_tells_of_every_step_and_source(release: Files) -> None:
    manifest = read_manifest(release[MANIFEST])
    names = {step.name for step in manifest.steps}
    assert names >= {"train sine", "convert sine", "packages train", "packages cross"}
    assert "firmware hello_world_test sparkfun_edge sine_int8 release" in names
    assert {(step.engine, step.isolated, step.pinned) for step in manifest.steps} == {
        ("docker", True, True)
    }
    assert {image.kind for image in manifest.images} == {"train", "cross"}
    assert set(manifest.pins) == {"cross", "debian", "tflm", "train"}
    for name in ("boards/sparkfun_edge/board.toml", "tflm/Makefile", "docker/train.lock", "NOTICE"):
        assert manifest.sources[name] == Digest.of_file(PROJECT / name).sha256
    assert manifest.sources["simulator/request.py"]
    assert not any("stm32" in name for name in manifest.sources if name.startswith("boards/"))


def test_the_provenance_names_actions_images_pins_and_places(release: Files) -> None:
    document = json.loads(release[PROVENANCE])
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    subjects = {each["name"]: each["digest"]["sha256"] for each in document["subject"]}
    assert subjects == {
        name: Digest.of_bytes(release[name]).sha256 for name in (ARCHIVE, MANIFEST, SBOM)
    }
    manifest = read_manifest(release[MANIFEST])
    steps = document["predicate"]["buildDefinition"]["internalParameters"]["steps"]
    assert [step["name"] for step in steps] == [step.name for step in manifest.steps]
    for step, recorded in zip(steps, manifest.steps, strict=True):
        assert step["action"]["sha256"] == recorded.action_sha256
        assert step["image"]["name"] == recorded.image
        assert step["image"]["name"].partition(":")[2] == step["image"]["content"][:24]
        assert step["image"]["pins"].items() <= manifest.pins.items()
        assert step["ranOn"] == {
            "engine": "docker",
            "isolated": True,
            "pinned": True,
            "server": "",
            "worker": "",
        }


def components(data: bytes) -> Mapping[str, Mapping[str, Any]]:
    return {each["bom-ref"]: each for each in json.loads(data)["components"]}


def test_the_components_are_listed_with_versions_and_digests(release: Files) -> None:
    document, listed = json.loads(release[SBOM]), components(release[SBOM])
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(
        r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"]
    )
    assert "timestamp" not in document["metadata"]
    tree = listed["tensorflow-lite-micro"]
    assert tree["version"] == tree["pedigree"]["commits"][0]["uid"] == PINS.tflm.commit
    crate = listed[f"pkg:cargo/tfmicro@{PINS.tflm.version}"]
    assert crate["hashes"] == [{"alg": "SHA-256", "content": PINS.tflm.sha256}]
    for wheel in read_lock(PROJECT / TRAIN_LOCK):
        found = listed[f"pkg:pypi/{wheel.name}@{wheel.version}"]
        assert {each["content"] for each in found["hashes"]} == wheel.hashes
    assert any(name.startswith("pkg:pypi/tensorflow-cpu@") for name in listed)
    for name, pin in PINS.cross.packages.items():
        (found,) = (each for each in listed.values() if each["name"] == name)
        assert (found["version"], found["hashes"][0]["content"]) == (pin.version, pin.sha256)
    libc = listed["pkg:deb/debian/libc6@2.41-12?arch=amd64"]
    assert [each["value"] for each in libc["properties"]] == ["cross", "train"]
    assert "hashes" not in libc
    (compiler,) = (each for each in listed.values() if each["name"] == "gcc-arm-none-eabi")
    assert compiler["purl"].startswith("pkg:deb/debian/gcc-arm-none-eabi@15%3A")
    assert compiler["scope"] == "required"
    assert {each["type"] for each in listed.values()} >= {"container", "machine-learning-model"}


def test_the_components_follow_the_rules_of_the_format(release: Files) -> None:
    """What the schema of CycloneDX 1.6 demands of the fields that are used."""
    document, listed = json.loads(release[SBOM]), components(release[SBOM])
    assert set(document) == {
        *("bomFormat", "specVersion", "serialNumber", "version"),
        *("metadata", "components", "dependencies"),
    }
    assert len(listed) == len(document["components"])
    known = {*listed, document["metadata"]["component"]["bom-ref"]}
    for dependency in document["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= known
        assert len(set(dependency["dependsOn"])) == len(dependency["dependsOn"])
    for each in (*document["components"], document["metadata"]["component"]):
        assert set(each) <= {
            *("type", "bom-ref", "name", "version", "scope", "hashes", "purl", "pedigree"),
            "properties",
        }
        assert each["type"] in {
            *("application", "container", "firmware", "library", "machine-learning-model"),
        }
        assert each.get("scope", "required") in {"required", "optional", "excluded"}
        for digest in each.get("hashes", ()):
            assert digest["alg"] == "SHA-256"
            assert re.fullmatch("[0-9a-f]{64}", digest["content"])
        if "purl" in each:
            assert re.fullmatch(
                r"pkg:[a-z]+/[A-Za-z0-9._%/-]+@[A-Za-z0-9._%~-]+(\?arch=\w+)?", each["purl"]
            )


def test_the_components_are_valid_by_the_schema_of_the_format(release: Files) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(release[SBOM].decode()) is None
    document = json.loads(release[SBOM])
    document["components"][0]["type"] = "nothing of the kind"
    assert validator.validate_str(json.dumps(document)) is not None


def test_the_provenance_is_read_by_the_parser_of_the_format(release: Files) -> None:
    from google.protobuf.json_format import (
        ParseDict,
        ParseError,
    )
    from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
    from in_toto_attestation.v1.statement import Statement
    from in_toto_attestation.v1.statement_pb2 import Statement as Message

    document = json.loads(release[PROVENANCE])
    message = ParseDict(document, Message())
    Statement.copy_from_pb(message).validate()
    assert {each.name for each in message.subject} == {ARCHIVE, MANIFEST, SBOM}
    # Fields that SLSA does not know are an error of this parser.
    predicate = ParseDict(document["predicate"], Provenance())
    assert predicate.run_details.builder.id == document["predicate"]["runDetails"]["builder"]["id"]
    for each in predicate.build_definition.resolved_dependencies:
        assert each.name
        assert re.fullmatch("[0-9a-f]{64}", each.digest["sha256"])
    with pytest.raises(ParseError):
        ParseDict({**document["predicate"], "builder": {}}, Provenance())
    document["subject"][0]["digest"] = {}
    with pytest.raises(ValueError, match="digest"):
        Statement.copy_from_pb(ParseDict(document, Message())).validate()


def test_the_serial_number_follows_from_the_content() -> None:
    model = ReleasedModel(name="m", application="model_runner", sha256="1" * 64, given=())
    wheels = parse_lock(f"a-b==1 --hash=sha256:{'0' * 64}", "a lock")

    def made(version: str, text: str = "libc6 1 amd64\n") -> bytes:
        return make_sbom(
            version, model, images=(), pins=PINS, packages={"train": text}, wheels=wheels
        )

    assert made("1") == made("1")
    serials = {
        json.loads(data)["serialNumber"]
        for data in (made("1"), made("2"), made("1", "libc6 2 amd64\n"))
    }
    assert len(serials) == 3
    check_sbom(made("1"), "1", model, ())
    with pytest.raises(ValueError, match="it is of tinyml-toolchain 1"):
        check_sbom(made("1"), "2", model, ())
    with pytest.raises(ValueError, match=r"the line 'what is that\?'"):
        made("1", "what is that?\n")


def test_the_junit_file_has_a_test_for_the_program_and_for_each_part_of_the_period(
    release: Files,
) -> None:
    root = ET.fromstring(members(release)["junit.xml"])
    (suite,) = root
    assert suite.attrib["name"] == "sparkfun_edge.sine_int8"
    assert int(suite.attrib["tests"]) == len(suite) == 1 + PERIOD_PARTS
    assert {suite.attrib[name] for name in ("failures", "errors", "skipped")} == {"0"}
    names = [(case.attrib["classname"], case.attrib["name"]) for case in suite]
    assert names[:2] == [
        ("sparkfun_edge.sine_int8.test_program", "every input of the reference"),
        ("sparkfun_edge.sine_int8.image", "x from 0.00 to 0.39"),
    ]
    assert len(set(names)) == len(names)
    said = [case.findtext("system-out") or "" for case in suite]
    assert said[0].startswith("256 of 256 outputs equal those of ")
    inferences = json.loads(members(release)["simulation.json"])["inferences"]
    different = {(each["raw_in"], each["x_bits"]) for each in inferences}
    assert sum(int(text.split()[0]) for text in said[1:]) == len(different) == 20


def test_a_wrong_inference_is_a_failure_and_what_is_unknown_is_skipped(release: Files) -> None:
    inside = members(release)
    simulated = json.loads(inside["simulation.json"])
    for field, more in (("raw_out", 1), ("y_bits", 1)):
        changed = json.loads(inside["simulation.json"])
        changed["inferences"][3][field] += more
        found = verdicts(
            inside["verify.json"], json.dumps(changed).encode(), inside["reference.json"]
        )
        (wrong,) = (each for each in found if each.failure)
        assert wrong.failure.startswith(f"input {simulated['inferences'][3]['raw_in']} (x = ")
        assert "1 of " in wrong.failure
    for x_bits in (0x7FC0_0000, 0x7F80_0000, 0xFF80_0000):
        changed = json.loads(inside["simulation.json"])
        changed["inferences"][3]["x_bits"] = x_bits
        found = verdicts(
            inside["verify.json"], json.dumps(changed).encode(), inside["reference.json"]
        )
        assert [each.failure != "" for each in found].count(True) == 1
    for field, number in (
        ("x_bits", -1),
        ("y_bits", 1 << 32),
        ("raw_in", None),
        ("raw_out", 1 << 2000),
        ("raw_out", True),
        ("raw_in", [0]),
    ):
        changed = json.loads(inside["simulation.json"])
        changed["inferences"][3][field] = number
        with pytest.raises(ValueError, match="an inference has the number"):
            verdicts(inside["verify.json"], json.dumps(changed).encode(), inside["reference.json"])
    shorter = reference_json(pairs=dict(list(INT8_PAIRS.items())[:20]))
    found = verdicts(inside["verify.json"], inside["simulation.json"], shorter)
    assert [each.name for each in found if not each.skipped][1:] == ["x from 0.00 to 0.39"]
    made = render_junit("a", (Verdict("g", "b", failure="<&"), Verdict("g", "c", skipped="d")))
    suite = ET.fromstring(made)[0]
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", "1")
    assert suite[0][0].attrib["message"] == "<&"


def test_the_cases_of_a_given_model_are_compared_by_their_numbers() -> None:
    nan, other_nan, one = "0000c07f", "0000c0ff", "0000803f"
    reference = {
        "schema": "tinyml-toolchain/cases/1",
        "model": "mine",
        "model_sha256": "0" * 64,
        "judge": "a judge",
        "outputs": [{"name": "out", "type": "FLOAT32"}],
        "judged": [[nan], [one], [one]],
        "opinions": {},
    }
    cases = [
        {"number": number, "outputs": [output]}
        for number, output in enumerate((other_nan, one, "0100803f"))
    ]

    def found(cases: list[dict[str, Any]]) -> tuple[Verdict, ...]:
        documents: tuple[dict[str, Any], ...] = ({}, {"cases": cases}, reference)
        return verdicts(*(json.dumps(each).encode() for each in documents))

    assert [bool(each.failure) for each in found(cases)] == [False, False, True]
    assert "1 unit in the last place" in found(cases)[2].failure
    with pytest.raises(ValueError, match="2 cases were simulated and the reference has 3"):
        found(cases[:2])


def test_a_release_is_made_again_with_the_same_bytes(release: Files, tmp_path: Path) -> None:
    layout = releasable(tmp_path)
    with session_in(layout) as session:
        know_release(session)
        done = reproduce(session, checked(release, tmp_path))
    assert done.version == VERSION
    assert set(done.files) == {ARCHIVE, SUMS, MANIFEST, PROVENANCE, SBOM}
    assert not layout.dist.exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("tflm/Makefile", "", "# more\n", "tflm/Makefile"),
        ("boards/sparkfun_edge/board.toml", "", "# more\n", "boards/sparkfun_edge/board.toml"),
        ("NOTICE", "", "more", "NOTICE"),
        ("pins.toml", MAKE, f"{MAKE}+1", "[cross] of pins.toml"),
        ("docker/train.lock", "# Made", "# made", "docker/train.lock"),
        ("docker/cross.Dockerfile", "", "# more\n", "the image tinyml-toolchain/cross:"),
    ],
)
def test_another_checkout_is_refused_by_name(
    release: Files, tmp_path: Path, file: str, old: str, new: str, named: str
) -> None:
    layout = releasable(tmp_path)
    path = layout.project / file
    path.write_text(path.read_text().replace(old, new, 1) if old else path.read_text() + new)
    with session_in(layout) as session, pytest.raises(UsageError) as caught:
        reproduce(session, checked(release, tmp_path))
    assert named in str(caught.value)


def test_what_comes_out_otherwise_is_named(release: Files, tmp_path: Path) -> None:
    text = members(release)["FLASHING.md"].replace(b"SparkFun", b"Sparkfun")
    other = checked(with_member(release, "FLASHING.md", text), tmp_path)
    with session_in(releasable(tmp_path)) as session:
        know_release(session, packages={**PACKAGES, "train": "libc6 2.41-13 amd64\n"})
        with pytest.raises(NotReproducibleError) as caught:
            reproduce(session, other)
    message = str(caught.value)
    assert f"{MANIFEST}, {PROVENANCE}, {SBOM}, {ARCHIVE} differ" in message
    assert f"{SBOM} differs in serialNumber" in message
    assert f"{ARCHIVE} differs in FLASHING.md" in message


def test_the_users_own_files_are_asked_for_and_compared(release: Files, tmp_path: Path) -> None:
    document = json.loads(release[MANIFEST])
    document["model"]["given"] = [
        {"option": "model", "name": "mine.keras", "sha256": Digest.of_bytes(b"right").sha256}
    ]
    found = checked(sealed(release, document), tmp_path)
    (tmp_path / "mine.keras").write_bytes(b"wrong")
    (tmp_path / "data.npy").write_bytes(b"")
    mine, data = str(tmp_path / "mine.keras"), str(tmp_path / "data.npy")
    with session_in(releasable(tmp_path)) as session:
        for given, words in (
            (GivenPaths(), "from a file mine.keras that it does not hold"),
            (GivenPaths(model=mine), "is not the file that the release was made from"),
            (GivenPaths(model=mine + "x"), "there is no file"),
        ):
            with pytest.raises(UsageError, match=words):
                reproduce(session, found, given)
        (tmp_path / "mine.keras").write_bytes(b"right")
        with pytest.raises(UsageError, match="made without --inputs"):
            reproduce(session, found, GivenPaths(model=mine, inputs=data))


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.invalid")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


def test_the_version_is_what_git_says_of_the_checkout(tmp_path: Path) -> None:
    assert chosen_version(tmp_path, "") == "0"
    git(tmp_path, "init")
    assert chosen_version(tmp_path, "") == "0"
    (tmp_path / "file").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    assert re.fullmatch("0[+]g[0-9a-f]{12}", chosen_version(tmp_path, ""))
    git(tmp_path, "tag", "v1.2")
    assert chosen_version(tmp_path, "") == "1.2"
    (tmp_path / "file").write_text("2")
    assert chosen_version(tmp_path, "") == "1.2-dirty"
    git(tmp_path, "commit", "-a", "-m", "two")
    assert re.fullmatch("1[.]2-1-g[0-9a-f]{12}", chosen_version(tmp_path, ""))
    (tmp_path / "inner").mkdir()
    assert chosen_version(tmp_path / "inner", "") == "0"
    assert chosen_version(tmp_path, "2.0-rc1") == "2.0-rc1"
    git(tmp_path, "tag", "release/2")
    with pytest.raises(
        UsageError, match=r"git calls this checkout 'release/2'(?s:.*)give one with --version"
    ):
        chosen_version(tmp_path, "")


@pytest.mark.parametrize("version", ["../1", "-1", "a b", "1\n", "é", "x" * 65])
def test_a_version_that_cannot_be_in_a_files_name_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(UsageError, match="--version cannot be"):
        chosen_version(tmp_path, version)


def test_a_release_is_made_in_docker_only() -> None:
    assert release_engine("auto") == release_engine("docker") == EngineChoice("docker")
    with pytest.raises(UsageError, match="every step ran in a pinned image"):
        release_engine("host")
    with pytest.raises(UsageError, match="there is no engine 'hots'"):
        release_engine("hots")
