"""Images through a registry: what was pushed comes back, and nothing else gets a name here."""

from __future__ import annotations

import hashlib
import io
import itertools
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.containers.images_support import image_tags, running_registry
from tests.unit.actions_support import RecordingReporter
from tests.unit.registry_support import closed_port, silent_port
from toolchain.engine import Engine
from toolchain.errors import NetworkError, PinsError, UsageError
from toolchain.images.base import import_base
from toolchain.images.definition import (
    CONTENT_LABEL,
    KIND_LABEL,
    RECORD_FOLDER,
    Kind,
    image_content,
    image_name,
)
from toolchain.images.ensure import ensure_image
from toolchain.images.shared_record import SHARED_RECORD, known_image, project_record, user_record
from toolchain.images.sharing import REGISTRY_VARIABLE, check_registry, pull_image, push_image
from toolchain.layout import Layout
from toolchain.pins import DebianPins, Pins

PREFIX = "tinyml-test-sharing"
CONTENT = "c" * 64
RECORD = f"{RECORD_FOLDER}/content.sha256".lstrip("/")

Files = Mapping[str, bytes]
Import = Callable[..., str]
_numbers = itertools.count()


def labels(kind: str, content: str = CONTENT) -> dict[str, str]:
    return {KIND_LABEL: kind, CONTENT_LABEL: content}


def with_record(files: Files) -> dict[str, bytes]:
    lines = [f"{hashlib.sha256(data).hexdigest()}  /{name}\n" for name, data in files.items()]
    return {**files, RECORD: "".join(lines).encode()}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_registry(tmp_path_factory.mktemp("images") / "registry") as port:
        yield f"127.0.0.1:{port}/team"


@pytest.fixture
def own(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "project", tmp_path / "cache")


@pytest.fixture
def names(engine: Engine, registry: str) -> Iterator[None]:
    yield
    for tag in image_tags(engine):
        if PREFIX in tag or tag.startswith(f"{registry}/"):
            engine.client.images.remove(tag)


@pytest.fixture
def imported(engine: Engine, names: None, tmp_path: Path) -> Import:
    """Make an image of some files under a name of its own."""
    del names

    def make(files: Files, about: Mapping[str, str], name: str = "") -> str:
        number = next(_numbers)
        name = name or f"{PREFIX}/{number}:x"
        archive = tmp_path / f"{number}.tar"
        with tarfile.open(archive, "w") as stream:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                stream.addfile(entry, io.BytesIO(data))
        import_base(engine, archive, name, about)
        return name

    return make


def offer(engine: Engine, registry: str, name: str) -> None:
    """Push an image and remove it here."""
    push_image(engine, registry, name, RecordingReporter())
    engine.client.images.remove(name)


def is_there(engine: Engine, name: str) -> bool:
    return bool(engine.client.images.list(name))


def left_of(engine: Engine, registry: str) -> list[str]:
    return [tag for image in engine.client.images.list() for tag in image.tags if registry in tag]


def pull(
    engine: Engine, registry: str, name: str, own: Layout, kind: Kind = "base", **more: float
) -> tuple[bool, RecordingReporter]:
    reporter = RecordingReporter()
    got = pull_image(
        engine, registry, name, CONTENT, kind=kind, layout=own, reporter=reporter, **more
    )
    return got, reporter


def test_what_was_pushed_comes_back_under_its_name(
    engine: Engine, registry: str, own: Layout, imported: Import
) -> None:
    name = imported({"a": b"content"}, labels("base"))
    before = engine.client.api.inspect_image(name)
    pushed = push_image(engine, registry, name, RecordingReporter())
    assert pushed.manifest.startswith("sha256:")
    assert pushed.known == known_image(before)
    assert left_of(engine, registry) == []
    engine.client.images.remove(name)
    got, reporter = pull(engine, registry, name, own)
    assert got
    assert engine.client.api.inspect_image(name)["Id"] == before["Id"] == pushed.known.config
    assert left_of(engine, registry) == []
    assert user_record(own).read() == {name: pushed.known}
    # Nobody vouches for it, which is said.
    (note,) = reporter.notes
    assert SHARED_RECORD in note
    assert before["Id"] in note


def test_an_image_that_the_checkout_knows_is_taken_without_a_word(
    engine: Engine, registry: str, own: Layout, imported: Import
) -> None:
    name = imported({"a": b"known"}, labels("base"))
    assert project_record(own).remember({name: known_image(engine.client.api.inspect_image(name))})
    offer(engine, registry, name)
    got, reporter = pull(engine, registry, name, own)
    assert got
    assert reporter.notes == []
    assert reporter.warnings == []


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({}, "kind None"),
        (labels("cross"), "kind cross"),
        ({KIND_LABEL: "base"}, "made from something else"),
        (labels("base", "d" * 64), "made from something else"),
    ],
)
def test_an_image_with_other_labels_is_refused(
    engine: Engine,
    registry: str,
    own: Layout,
    imported: Import,
    about: Mapping[str, str],
    reason: str,
) -> None:
    name = imported({"a": b"of another"}, about)
    offer(engine, registry, name)
    got, reporter = pull(engine, registry, name, own)
    assert not got
    (warning,) = reporter.warnings
    assert reason in warning
    assert not is_there(engine, name)
    assert left_of(engine, registry) == []
    assert user_record(own).read() == {}


@pytest.mark.parametrize("known_to", [project_record, user_record])
def test_a_poisoned_image_under_a_known_name_is_refused(
    engine: Engine,
    registry: str,
    own: Layout,
    imported: Import,
    known_to: Callable[[Layout], object],
) -> None:
    name = imported({"a": b"good"}, labels("base"))
    good = known_image(engine.client.api.inspect_image(name))
    record = project_record(own) if known_to is project_record else user_record(own)
    record.remember({name: good})
    engine.client.images.remove(name)
    imported({"a": b"evil"}, labels("base"), name)
    offer(engine, registry, name)
    got, reporter = pull(engine, registry, name, own)
    assert not got
    assert good.config in reporter.warnings[0]
    assert "built here instead" in reporter.warnings[0]
    assert not is_there(engine, name)
    assert record.read() == {name: good}


def test_settings_count_as_content(engine: Engine, imported: Import) -> None:
    names = [imported({"a": b"same"}, labels("base", content)) for content in ("1", "2", "2")]
    one, two, again = (known_image(engine.client.api.inspect_image(name)) for name in names)
    assert one.identity != two.identity
    assert two.identity == again.identity


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"usr/bin/compiler": b"another"}, "/usr/bin/compiler is not what its record says"),
        ({"usr/bin/linker": None}, "/usr/bin/linker of its record is missing"),
        ({RECORD: None}, "does not give"),
        ({RECORD: b""}, "record of its files is empty"),
    ],
)
def test_files_are_compared_with_the_images_own_record(
    engine: Engine,
    registry: str,
    own: Layout,
    imported: Import,
    change: Mapping[str, bytes | None],
    reason: str,
) -> None:
    files = {**with_record({"usr/bin/compiler": b"c", "usr/bin/linker": b"l"}), **change}
    present = {path: data for path, data in files.items() if data is not None}
    name = imported(present, labels("cross"))
    offer(engine, registry, name)
    got, reporter = pull(engine, registry, name, own, "cross")
    assert got == (reason == "") == is_there(engine, name)
    assert reason in " ".join([*reporter.warnings, *reporter.notes])
    assert left_of(engine, registry) == []


def test_a_registry_that_does_not_have_it_or_does_not_answer_is_a_note(
    engine: Engine, registry: str, own: Layout
) -> None:
    nowhere = f"127.0.0.1:{closed_port()}"
    for address in (registry, nowhere):
        got, reporter = pull(engine, address, f"{PREFIX}/none:x", own)
        assert not got
        assert reporter.warnings == []
        assert f"{address} does not give {PREFIX}/none:x" in reporter.notes[0]


def test_a_registry_that_says_nothing_is_given_up(engine: Engine, own: Layout) -> None:
    with silent_port() as port:
        got, reporter = pull(
            engine, f"127.0.0.1:{port}", f"{PREFIX}/none:x", own, silence_seconds=1
        )
    assert not got
    assert "it said nothing for 1 s" in reporter.notes[0]


def test_a_layer_that_was_changed_in_the_registry_is_refused_by_the_engine(
    engine: Engine, own: Layout, imported: Import, tmp_path: Path
) -> None:
    name = imported({"a": bytes(100_000)}, labels("base"))
    with running_registry(tmp_path / "registry") as port:
        registry = f"127.0.0.1:{port}/team"
        offer(engine, registry, name)
        blobs = sorted(
            (tmp_path / "registry/data").rglob("sha256/*/*/data"),
            key=lambda path: path.read_bytes()[:2] == b"\x1f\x8b",
        )
        damaged = bytearray(blobs[-1].read_bytes())
        damaged[-9] ^= 1
        blobs[-1].write_bytes(damaged)
        got, reporter = pull(engine, registry, name, own)
    assert not got
    assert reporter.notes
    assert not is_there(engine, name)


def test_a_push_that_nobody_takes_is_an_error(engine: Engine, imported: Import) -> None:
    name, registry = imported({"a": b"x"}, labels("base")), f"127.0.0.1:{closed_port()}"
    with pytest.raises(NetworkError, match="could not be pushed"):
        push_image(engine, registry, name, RecordingReporter())
    assert left_of(engine, registry) == []


@pytest.mark.parametrize("poisoned", [True, False])
def test_a_build_takes_an_image_of_the_registry_and_makes_it_where_that_is_poisoned(
    engine: Engine,
    pins: Pins,
    layout: Layout,
    registry: str,
    own: Layout,
    imported: Import,
    poisoned: bool,
) -> None:
    # What is "made" is a base from a registry, too: it takes a second, as a bootstrap does not.
    source = imported({"a": b"the real base"}, {})
    made = push_image(engine, registry, source, RecordingReporter())
    debian = DebianPins.model_validate(
        pins.debian.model_dump()
        | {
            "suite": "poisoned" if poisoned else "sound",
            "registry_image": made.reference,
            "registry_digest": made.manifest,
        }
    )
    other = pins.model_copy(update={"debian": debian})
    name = image_name("base", other, layout)
    content = image_content("base", other, layout)
    imported({"a": b"shared"}, labels("base", "f" * 64 if poisoned else content), name)
    shared = engine.client.api.inspect_image(name)["RootFS"]["Layers"]
    offer(engine, registry, name)
    reporter, cache = RecordingReporter(), Layout(layout.project, own.cache)
    try:
        got = ensure_image(
            engine,
            "base",
            layout=cache,
            pins=other,
            reporter=reporter,
            environ={REGISTRY_VARIABLE: registry},
        )
        assert got == name
        about = engine.client.api.inspect_image(name)
        assert about["Config"]["Labels"] == labels("base", content)
        assert (about["RootFS"]["Layers"] == shared) == (not poisoned)
        assert len(reporter.warnings) == poisoned
    finally:
        engine.client.images.remove(name)
        for reference in engine.client.images.list(made.reference.rpartition(":")[0]):
            for digest in reference.attrs["RepoDigests"]:
                engine.client.images.remove(digest)


def test_a_record_that_cannot_be_understood_is_told(own: Layout) -> None:
    path = own.project / SHARED_RECORD
    path.parent.mkdir(parents=True)
    for text in ("", "{}", '{"schema": "another", "images": {}}', "[]"):
        path.write_text(text)
        with pytest.raises(PinsError, match="cannot be used"):
            project_record(own).read()


def test_a_record_stays_the_same_file_while_nothing_changes(own: Layout, engine: Engine) -> None:
    del engine
    known = known_image({"Id": "sha256:1"})
    assert project_record(own).remember({"b": known})
    assert project_record(own).remember({"a": known})
    before = (own.project / SHARED_RECORD).stat()
    assert not project_record(own).remember({"a": known, "b": known})
    assert (own.project / SHARED_RECORD).stat().st_ino == before.st_ino
    assert list(project_record(own).read()) == ["a", "b"]


@pytest.mark.parametrize("text", ["http://x", "a b", "", "x/UP", "x:port"])
def test_an_address_that_cannot_be_one_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="no address of a registry"):
        check_registry(text)


def test_an_address_is_a_host_with_port_and_folder() -> None:
    assert check_registry("registry.example:5000/a/b-c/") == "registry.example:5000/a/b-c"
