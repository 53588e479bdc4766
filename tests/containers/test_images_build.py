"""Building images: a failure leaves nothing, and the same inputs give the same bytes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.containers.images_support import start_python, wait_for, work_left
from tests.containers.sandbox_support import SilentReporter
from toolchain.digest import Digest
from toolchain.engine import Engine
from toolchain.errors import CacheCorruptError, CancelledError, ImageBuildError
from toolchain.images import Kind, image_name
from toolchain.images.build import build_image
from toolchain.images.cancellation import Cancellation
from toolchain.images.definition import KIND_LABEL, RECORD_FOLDER, WORK_LABEL
from toolchain.images.downloads import Downloads
from toolchain.images.inputs import BuildInputs
from toolchain.images.leftovers import work_identity
from toolchain.images.making import making_images
from toolchain.layout import Layout
from toolchain.pins import Pins

STAGES = f"""\
ARG BASE
FROM ${{BASE}} AS work
ARG WORK
LABEL {WORK_LABEL}=${{WORK}}
"""


@pytest.fixture
def own(engine: Engine, layout: Layout, tmp_path: Path) -> Iterator[Layout]:
    """A cache of its own, in which nothing but downloads is left."""
    own = Layout(layout.project, tmp_path / "cache")
    yield own
    assert work_left(engine, own) == []


@pytest.fixture
def name(engine: Engine, tmp_path: Path) -> Iterator[str]:
    """A name for an image, which is removed at the end."""
    name = f"tinyml-test/build:{Digest.of_bytes(str(tmp_path).encode()).sha256[:12]}"
    yield name
    if engine.client.images.list(name):
        engine.client.images.remove(name)


def build(
    engine: Engine,
    layout: Layout,
    base: str,
    name: str,
    script: str,
    *,
    small: Mapping[str, bytes] | None = None,
    large: Mapping[str, Digest] | None = None,
    cancellation: Cancellation | None = None,
) -> None:
    dockerfile = (STAGES + script).encode()
    build_image(
        engine,
        name,
        BuildInputs({"Dockerfile": dockerfile, **(small or {})}, large or {}),
        labels={KIND_LABEL: "test"},
        parent=base,
        layout=layout,
        reporter=SilentReporter(),
        cancellation=cancellation,
    )


def exists(engine: Engine, name: str) -> bool:
    return bool(engine.client.images.list(name))


def test_a_build_leaves_the_named_image_and_nothing_else(
    engine: Engine, base_image: str, own: Layout, name: str, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"large")
    large = {"folder/large": Downloads(own.downloads).add(tmp_path / "source", "large")}
    script = "COPY . /context\nFROM scratch\nCOPY --from=work /context /\n"
    build(engine, own, base_image, name, script, small={"small": b"small"}, large=large)
    image = engine.client.images.get(name)
    assert image.labels == {KIND_LABEL: "test"}
    container = engine.client.containers.create(name, ["x"])
    try:
        for path, content in (("small", b"small"), ("folder/large", b"large")):
            chunks, _ = container.get_archive(f"/{path}")
            assert content in b"".join(chunks)
    finally:
        container.remove()


def test_a_failed_command_is_told_with_the_last_lines_and_leaves_nothing(
    engine: Engine, base_image: str, own: Layout, name: str
) -> None:
    script = "RUN echo first\nRUN for i in $(seq 30); do echo line $i; done; exit 3\n"
    before = {image.id for image in engine.client.images.list(all=True)}
    with pytest.raises(ImageBuildError) as caught:
        build(engine, own, base_image, name, script)
    assert caught.value.what == "building the test image failed"
    assert "a command of the Dockerfile ended with 3" in caught.value.why
    shown = [line.strip() for line in caught.value.why.splitlines()]
    # The engine itself says last that it removed the container.
    assert [line for line in shown if line.startswith("line ")] == [
        f"line {number}" for number in range(12, 31)
    ]
    assert not exists(engine, name)
    ours = work_identity(own).partition("-")[0]
    new = [image for image in engine.client.images.list(all=True) if image.id not in before]
    assert not [image for image in new if image.labels.get(WORK_LABEL, "").startswith(ours)]


@pytest.mark.parametrize("script", ["NONSENSE x\n", "COPY absent /x\n", "FROM absent:1\n"])
def test_a_senseless_dockerfile_is_told(
    engine: Engine, base_image: str, own: Layout, name: str, script: str
) -> None:
    with pytest.raises(ImageBuildError) as caught:
        build(engine, own, base_image, name, script)
    assert "absent" in caught.value.why or "NONSENSE" in caught.value.why
    assert not exists(engine, name)


def test_a_download_that_was_damaged_ends_the_build(
    engine: Engine, base_image: str, own: Layout, name: str, tmp_path: Path
) -> None:
    downloads = Downloads(own.downloads)
    (tmp_path / "source").write_bytes(bytes(3_000_000))
    digest = downloads.add(tmp_path / "source", "large")
    downloads.path(digest).write_bytes(b"\1" * 3_000_000)
    with pytest.raises(CacheCorruptError, match="was damaged"):
        build(engine, own, base_image, name, "COPY . /context\n", large={"large": digest})
    assert not downloads.path(digest).exists()
    assert not exists(engine, name)


def test_a_build_has_no_network(engine: Engine, base_image: str, own: Layout, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = (
            'SHELL ["/bin/bash", "-c"]\n'
            f"RUN if : > /dev/tcp/127.0.0.1/{port}; then echo connected; exit 4; fi\n"
            'RUN test "$(ls /sys/class/net)" = lo\n'
        )
        build(engine, own, base_image, name, script)


def test_the_users_registry_passwords_play_no_part(
    engine: Engine,
    base_image: str,
    own: Layout,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "config.json").write_text('{"credsStore": "of-another-system"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    build(engine, own, base_image, name, "FROM scratch\nCOPY --from=work /etc/passwd /\n")
    assert exists(engine, name)


_BUILD = f"""
import os, sys
from pathlib import Path
from toolchain.console import PlainReporter
from toolchain.engine import open_engine
from toolchain.images.build import build_image
from toolchain.images.cancellation import Cancellation
from toolchain.images.inputs import BuildInputs
from toolchain.layout import Layout
layout = Layout(Path.cwd(), Path(sys.argv[1]))
dockerfile = {STAGES!r} + "RUN echo done\\nRUN sleep 600.5\\n"
with open_engine(layout, PlainReporter()) as engine:
    build_image(
        engine, sys.argv[2], BuildInputs({{"Dockerfile": dockerfile.encode()}}, {{}}),
        labels={{"{KIND_LABEL}": "test"}}, parent=sys.argv[3], layout=layout,
        reporter=PlainReporter(),
    )
"""

_FETCH = """
import sys
from pathlib import Path
from toolchain.console import PlainReporter
from toolchain.engine import open_engine
from toolchain.images.container import open_fetch_container
from toolchain.images.downloads import Downloads
from toolchain.images.site import site_settings
from toolchain.layout import Layout
layout = Layout(Path.cwd(), Path(sys.argv[1]))
layout.downloads.mkdir(parents=True)
(layout.downloads / "incoming-x").touch()
with (
    open_engine(layout, PlainReporter()) as engine,
    open_fetch_container(engine, sys.argv[2], layout, site_settings({})) as container,
):
    (container.out / "half.deb").write_bytes(b"half")
    print("ready", flush=True)
    container.run(["sleep", "600"], "nothing")
"""


@pytest.fixture
def environ(engine: Engine) -> dict[str, str]:
    return os.environ | {"DOCKER_HOST": engine.address.url}


def test_what_a_killed_build_left_is_removed_by_the_next_command(
    engine: Engine, base_image: str, own: Layout, name: str, environ: dict[str, str]
) -> None:
    builder = start_python(_BUILD, str(own.cache), name, base_image, environ=environ)
    wait_for(lambda: any("sleep 600.5" in line for line in running_commands(engine)))
    builder.kill()
    builder.communicate()
    assert work_left(engine, own)

    def all_is_removed() -> bool:
        # The engine notices in its own time that nobody waits for the build any more.
        with making_images(engine, own, SilentReporter()):
            return work_left(engine, own) == []

    wait_for(all_is_removed)
    assert not exists(engine, name)


@pytest.mark.parametrize(
    "script", ["RUN sleep 600.25\n", "RUN sleep 600.25 & wait\n"], ids=["one", "child"]
)
def test_a_build_in_another_thread_can_be_ended(
    engine: Engine, base_image: str, own: Layout, name: str, script: str
) -> None:
    cancellation, raised = Cancellation(), list[Exception]()

    def run() -> None:
        try:
            build(engine, own, base_image, name, script, cancellation=cancellation)
        except ImageBuildError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: any("sleep 600.25" in line for line in running_commands(engine)))
    cancellation.cancel()
    thread.join(60)
    assert not thread.is_alive()
    assert raised
    wait_for(lambda: not any("sleep 600.25" in line for line in running_commands(engine)))
    assert not exists(engine, name)
    with making_images(engine, own, SilentReporter()):
        pass


def test_a_build_that_was_called_off_before_its_answer_is_not_waited_for(
    engine: Engine, base_image: str, own: Layout, name: str
) -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(CancelledError):
        build(engine, own, base_image, name, "RUN sleep 600\n", cancellation=cancellation)
    assert not exists(engine, name)
    with making_images(engine, own, SilentReporter()):
        pass


def running_commands(engine: Engine) -> list[str]:
    return [str(item["Command"]) for item in engine.client.api.containers()]


def test_what_a_killed_fetch_left_is_removed_and_others_keep_theirs(
    engine: Engine, base_image: str, own: Layout, environ: dict[str, str], tmp_path: Path
) -> None:
    other = Layout(own.project, tmp_path / "other")
    fetchers = [
        start_python(_FETCH, str(each.cache), base_image, environ=environ) for each in (own, other)
    ]
    try:
        for fetcher in fetchers:
            assert fetcher.stdout is not None
            assert fetcher.stdout.readline() == "ready\n"
        fetchers[0].kill()
        fetchers[0].communicate()
        assert len(work_left(engine, own)) == 3
        with making_images(engine, own, SilentReporter()):
            assert work_left(engine, own) == []
        assert len(work_left(engine, other)) == 3
    finally:
        for fetcher in fetchers:
            fetcher.kill()
            fetcher.communicate()
        with making_images(engine, other, SilentReporter()):
            pass
    assert work_left(engine, other) == []


_ENSURE = """
import sys
from pathlib import Path
from toolchain.console import PlainReporter
from toolchain.engine import open_engine
from toolchain.images import project_pins
from toolchain.images.ensure import ensure_image
from toolchain.layout import Layout
layout = Layout(Path(sys.argv[1]), Path(sys.argv[2]))
with open_engine(layout, PlainReporter()) as engine:
    name = ensure_image(
        engine, "cross", layout=layout, pins=project_pins(layout), reporter=PlainReporter()
    )
    print(name)
"""


def test_two_commands_make_an_image_once_and_of_the_same_bytes(
    engine: Engine,
    pins: Pins,
    layout: Layout,
    cross_image: str,
    environ: dict[str, str],
    tmp_path: Path,
) -> None:
    checkout = Layout(tmp_path / "checkout", tmp_path / "cache")
    for path in ("pins.toml", "docker", "tflm/image"):
        source, target = layout.project / path, checkout.project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    # Another name, for the same content but one comment.
    makefile = checkout.project / "tflm/image/Makefile"
    makefile.write_text(makefile.read_text() + "# of a test\n")
    name = image_name("cross", pins, checkout)
    assert name != cross_image
    give_downloads(layout, checkout)
    try:
        makers = [
            start_python(_ENSURE, str(checkout.project), str(checkout.cache), environ=environ)
            for _ in range(2)
        ]
        outputs = [maker.communicate() for maker in makers]
        assert [out for out, _ in outputs] == [f"{name}\n"] * 2, outputs
        said = "".join(err for _, err in outputs)
        assert said.count("cross image: fetched in") == 1
        assert said.count("another command is making images (2 s)") == 1

        contents = [read_record(engine, image) for image in (name, cross_image)]
        changed = set(contents[0].items()) ^ set(contents[1].items())
        makefile_path = "/opt/tflm/tensorflow/lite/micro/tools/make/Makefile"
        assert {path for path, _ in changed} == {makefile_path}
        assert len(contents[0]) > 1000
    finally:
        if engine.client.images.list(name):
            engine.client.images.remove(name)
    assert work_left(engine, checkout) == []


_ENSURE_TWO = """
import sys
from pathlib import Path
from toolchain.console import PlainReporter
from toolchain.engine import open_engine
from toolchain.images import project_pins
from toolchain.images.ensure import ensure_images
from toolchain.layout import Layout
layout = Layout(Path(sys.argv[1]), Path(sys.argv[2]))
with open_engine(layout, PlainReporter()) as engine:
    ensure_images(
        engine, ["cross", "train"], layout=layout, pins=project_pins(layout),
        reporter=PlainReporter(),
    )
"""


def test_an_interruption_ends_two_images_that_are_made_side_by_side(
    engine: Engine,
    pins: Pins,
    layout: Layout,
    make_image: Callable[[Kind], str],
    environ: dict[str, str],
    tmp_path: Path,
) -> None:
    checkout = Layout(tmp_path / "checkout", tmp_path / "cache")
    for path in ("pins.toml", "docker", "tflm/image"):
        source, target = layout.project / path, checkout.project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
    for kind in ("cross", "train"):
        dockerfile = checkout.project / f"docker/{kind}.Dockerfile"
        text = dockerfile.read_text().replace("COPY ", "RUN sleep 600.75\nCOPY ", 1)
        dockerfile.write_text(text)
        assert image_name(kind, pins, checkout) != make_image(kind)
    give_downloads(layout, checkout)
    maker = start_python(_ENSURE_TWO, str(checkout.project), str(checkout.cache), environ=environ)
    wait_for(lambda: sum("sleep 600.75" in line for line in running_commands(engine)) == 2)
    maker.send_signal(signal.SIGINT)
    _, said = maker.communicate(timeout=60)
    assert "KeyboardInterrupt" in said
    wait_for(lambda: not any("sleep 600.75" in line for line in running_commands(engine)))
    with making_images(engine, checkout, SilentReporter()):
        assert work_left(engine, checkout) == []


def give_downloads(source: Layout, target: Layout) -> None:
    """Link what is downloaded already, so that a build need not fetch it again."""
    shutil.copytree(
        source.downloads,
        target.downloads,
        copy_function=os.link,
        ignore=shutil.ignore_patterns("incoming-*"),
    )


def read_record(engine: Engine, image: str) -> dict[str, str]:
    said = engine.client.containers.run(
        image, ["cat", f"{RECORD_FOLDER}/content.sha256"], network_mode="none", remove=True
    )
    return {line[66:]: line[:64] for line in said.decode().splitlines()}
