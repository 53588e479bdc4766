"""The finished images: what is in them, and what is not."""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.containers.sandbox_support import SilentReporter
from toolchain.engine import Engine
from toolchain.images import Kind, image_name
from toolchain.images.definition import CONTENT_LABEL, KIND_LABEL, RECORD_FOLDER, image_content
from toolchain.images.downloads import Downloads
from toolchain.images.ensure import ensure_image
from toolchain.images.inventory import list_images
from toolchain.images.site import site_settings
from toolchain.layout import Layout
from toolchain.pins import TRAIN_LOCK, Pins, read_lock

Shell = Callable[[str], str]
MAXIMUM_BYTES = {"cross": 700_000_000, "host": 600_000_000, "train": 1_600_000_000}
FINAL = ["cross", "host", "train"]
COMPILERS = ["cross", "host"]


@pytest.fixture(scope="module")
def shells(
    engine: Engine, make_image: Callable[[Kind], str]
) -> Iterator[dict[str, Callable[..., str]]]:
    """Run scripts in containers of the final images: one for each, for all tests."""
    containers = {}

    def script_runner(container: Any) -> Callable[..., str]:
        def run(script: str, user: str = "0") -> str:
            done = container.exec_run(["bash", "-euo", "pipefail", "-c", script], user=user)
            output = str(done.output.decode())
            assert done.exit_code == 0, output
            return output

        return run

    try:
        kinds: tuple[Kind, ...] = ("cross", "host", "train")
        for kind in kinds:
            containers[kind] = engine.client.containers.create(
                make_image(kind), ["sleep", "900"], network_mode="none"
            )
            containers[kind].start()
        yield {kind: script_runner(container) for kind, container in containers.items()}
    finally:
        for container in containers.values():
            container.remove(force=True, v=True)


@pytest.fixture(scope="module")
def records(shells: dict[str, Callable[..., str]]) -> dict[str, list[list[str]]]:
    """The lines of ``packages.txt``, in words."""
    return {
        kind: [line.split() for line in run(f"cat {RECORD_FOLDER}/packages.txt").splitlines()]
        for kind, run in shells.items()
    }


@pytest.mark.parametrize("kind", ["base", *FINAL])
def test_an_image_that_is_there_is_not_touched(
    kind: Kind,
    engine: Engine,
    pins: Pins,
    layout: Layout,
    make_image: Callable[[Kind], str],
    tmp_path: Path,
) -> None:
    name = make_image(kind)
    before = engine.client.api.inspect_image(name)["Id"]
    elsewhere = Layout(layout.project, tmp_path / "cache")
    for asked in (kind, name):
        got = ensure_image(
            engine, asked, layout=elsewhere, pins=pins, reporter=SilentReporter(), environ={}
        )
        assert got == name == image_name(kind, pins, layout)
    assert engine.client.api.inspect_image(name)["Id"] == before
    assert not elsewhere.cache.exists()


@pytest.mark.parametrize("kind", ["base", *FINAL])
def test_labels_say_what_it_is_and_what_it_was_made_from(
    kind: Kind, engine: Engine, pins: Pins, layout: Layout, make_image: Callable[[Kind], str]
) -> None:
    about = engine.client.api.inspect_image(make_image(kind))
    labels = about["Config"]["Labels"]
    assert labels == {KIND_LABEL: kind, CONTENT_LABEL: image_content(kind, pins, layout)}
    (listed,) = (image for image in list_images(engine) if make_image(kind) in image.names)
    assert (listed.kind, listed.content) == (kind, labels[CONTENT_LABEL])
    assert listed.size_bytes == about["Size"]


@pytest.mark.parametrize("kind", FINAL)
def test_the_size_stays_within_its_budget(
    kind: Kind, engine: Engine, make_image: Callable[[Kind], str]
) -> None:
    assert engine.client.api.inspect_image(make_image(kind))["Size"] <= MAXIMUM_BYTES[kind]


@pytest.mark.parametrize("kind", FINAL)
def test_its_layers_show_nothing_of_its_making(
    kind: Kind, engine: Engine, make_image: Callable[[Kind], str]
) -> None:
    steps = engine.client.api.history(make_image(kind))
    told = [step["CreatedBy"].partition("#(nop) ")[2].split()[0] for step in steps]
    # The host image's are those of the cross image and its own.
    own = ["COPY", "LABEL", "LABEL"] if kind == "host" else []
    assert sorted(told) == sorted(["CMD", "COPY", "ENV", "LABEL", "LABEL", "USER", "WORKDIR", *own])
    copied = [step["Size"] for step in steps if " COPY " in step["CreatedBy"]]
    assert len(copied) == (2 if kind == "host" else 1)
    assert sum(copied) == sum(step["Size"] for step in steps)
    assert not any("://" in step["CreatedBy"] for step in steps)


@pytest.mark.parametrize("kind", FINAL)
def test_the_record_is_what_dpkg_says(
    kind: str, shells: dict[str, Callable[..., str]], records: dict[str, list[list[str]]]
) -> None:
    said = shells[kind]("dpkg-query --show --showformat '${Package} ${Version} ${Architecture}\\n'")
    packages = [line for line in records[kind] if len(line) == 3]
    assert sorted(map(str.split, said.splitlines())) == sorted(packages)
    assert len(packages) > 50


def test_the_compilers_have_exactly_the_pinned_versions(
    pins: Pins, records: dict[str, list[list[str]]]
) -> None:
    wanted = {name: pin.version for name, pin in pins.cross.packages.items()}
    for kind in COMPILERS:
        installed = {name: version for name, version, _ in records[kind]}
        assert {name: installed.get(name) for name in wanted} == wanted, kind
        wanted |= {name: pin.version for name, pin in pins.host_compiler.packages.items()}


def test_nothing_that_is_not_pinned_came_with_the_compiler(
    engine: Engine, pins: Pins, base_image: str, records: dict[str, list[list[str]]]
) -> None:
    said = engine.client.containers.run(
        base_image,
        ["dpkg-query", "--show", "--showformat", "${Package}\\n"],
        network_mode="none",
        remove=True,
    )
    added = {line[0] for line in records["cross"]} - set(said.decode().split())
    assert added == set(pins.cross.packages)
    came = {line[0] for line in records["host"]} - {line[0] for line in records["cross"]}
    # The C library's own, which are of one version with the system's, and the kernel's.
    system = {"libc6-dev", "libc-dev-bin", "libcrypt-dev", "rpcsvc-proto", "linux-libc-dev"}
    assert came == set(pins.host_compiler.packages) | system


def test_the_train_image_has_exactly_the_locked_wheels(
    layout: Layout, records: dict[str, list[list[str]]]
) -> None:
    wheels = [line[0].partition("==") for line in records["train"] if len(line) == 1]
    locked = {item.name: item.version for item in read_lock(layout.project / TRAIN_LOCK)}
    installed = {re.sub(r"[-_.]+", "-", name).lower(): version for name, _, version in wheels}
    assert installed == locked


def test_what_the_images_were_made_from_is_in_the_downloads_unharmed(
    layout: Layout, pins: Pins, cross_image: str, host_image: str
) -> None:
    del cross_image, host_image
    downloads = Downloads(layout.downloads)
    compilers = (*pins.cross.packages.values(), *pins.host_compiler.packages.values())
    digests = [pin.digest for pin in (*compilers, pins.tflm)]
    if not any(downloads.has(digest) for digest in digests):
        pytest.skip("the images were made with another cache")
    for digest in digests:
        assert downloads.is_intact(digest), digest


@pytest.mark.parametrize("kind", COMPILERS)
def test_a_compilers_content_is_what_its_record_says(
    kind: str, shells: dict[str, Callable[..., str]]
) -> None:
    run = shells[kind]
    assert run(f"cd / && sha256sum --check --quiet --strict {RECORD_FOLDER}/content.sha256") == ""
    recorded = run(f"cut -c67- {RECORD_FOLDER}/content.sha256").splitlines()
    tools = ("gcc", "g++", "as", "ld", "ar", "objcopy")
    assert {f"/usr/bin/arm-none-eabi-{tool}" for tool in tools} <= set(recorded)
    assert {"/usr/bin/make", *run("find /opt/tflm -type f").splitlines()} <= set(recorded)
    for file in ("libc_nano.a", "libm.a", "crt0.o", "libstdc++_nano.a"):
        found = [path for path in recorded if path.endswith(f"thumb/v7e-m+fp/hard/{file}")]
        assert len(found) == 1, file
    if kind == "host":
        library = "/usr/lib/x86_64-linux-gnu"
        assert {f"/usr/bin/x86_64-linux-gnu-{tool}" for tool in ("ar", "as")} <= set(recorded)
        assert f"{library}/libc.a" in recorded
        assert [path for path in recorded if re.fullmatch(rf"{library}/libm-[0-9.]+\.a", path)]
        assert [path for path in recorded if re.fullmatch(r"/usr/libexec/.*/cc1plus", path)]
        assert [path for path in recorded if path.startswith(f"{library}/libasan.so.")]


def test_the_tree_is_the_pinned_crates_own(
    layout: Layout, pins: Pins, shells: dict[str, Callable[..., str]]
) -> None:
    downloads = Downloads(layout.downloads)
    if not downloads.is_intact(pins.tflm.digest):
        pytest.skip("the images were made with another cache")
    listed = shells["cross"](f"grep ' /opt/tflm/' {RECORD_FOLDER}/content.sha256")
    tree = {line[66:].removeprefix("/opt/tflm/"): line[:64] for line in listed.splitlines()}
    makefile = tree.pop("tensorflow/lite/micro/tools/make/Makefile")
    image_makefile = (layout.project / "tflm/image/Makefile").read_bytes()
    assert makefile == hashlib.sha256(image_makefile).hexdigest()
    original = {}
    with tarfile.open(downloads.path(pins.tflm.digest)) as crate:
        for entry in crate:
            _, _, path = entry.name.partition("/submodules/tensorflow/")
            if entry.isfile() and path:
                content = crate.extractfile(entry)
                assert content is not None
                original[path] = hashlib.sha256(content.read()).hexdigest()
    assert len(tree) > 500
    assert {path: original.get(path) for path in tree} == tree
    left_out = {path.partition("/")[0] for path in original.keys() - tree.keys()}
    assert {path for path in original if path.endswith((".cc", ".h"))} - tree.keys() == {
        path
        for path in original
        if path.endswith((".cc", ".h")) and "image_recognition_model" in path
    }, left_out


@pytest.mark.parametrize("kind", FINAL)
def test_its_user_has_no_power(
    kind: Kind,
    engine: Engine,
    make_image: Callable[[Kind], str],
    shells: dict[str, Callable[..., str]],
) -> None:
    user = engine.client.api.inspect_image(make_image(kind))["Config"]["User"]
    assert user == "65534:65534"
    said = shells[kind](
        "id -u; find / -xdev -writable -not -path '/proc/*' -not -path '/dev/*' "
        "\\( -type f -o -type d \\) 2>/dev/null || true",
        user,
    ).split()
    generated = ["/opt/tflm/tensorflow/lite/micro/tools/make/gen"] if kind in COMPILERS else []
    shared = {"/tmp", "/var/tmp", "/run/lock"}
    assert said[0] == "65534"
    assert set(said[1:]) - shared == set(generated)
    found = shells[kind]("find / -xdev -perm -4000 -type f -path '/opt/*'")
    assert found == ""


@pytest.mark.parametrize("kind", FINAL)
def test_nothing_of_the_site_is_in_it(
    kind: Kind,
    engine: Engine,
    make_image: Callable[[Kind], str],
    shells: dict[str, Callable[..., str]],
) -> None:
    about = engine.client.api.inspect_image(make_image(kind))["Config"]
    names = {item.partition("=")[0] for item in about["Env"]}
    assert names <= {"PATH", "LC_ALL"}
    run = shells[kind]
    settings = run(
        "shopt -s nullglob dotglob; ls -d /etc/ssl/certs/* /etc/pip.conf /etc/pip/* /root/* "
        "/root/.[!b]* /nonexistent /usr/local/share/ca-certificates/* /etc/apt/sources.list* "
        "/etc/apt/auth.conf* /var/lib/apt/lists/* /var/cache/apt/* /run/site-* /context /out "
        "/etc/netrc /etc/gitconfig 2>/dev/null || true"
    ).split()
    allowed = {"/root/.profile", "/root/.bashrc", "/etc/apt/sources.list.d", "/etc/apt/auth.conf.d"}
    assert set(settings) <= allowed
    assert run("cat /etc/apt/sources.list.d/* 2>/dev/null || true") == ""
    assert run("grep -rilE 'proxy|CAInfo' /etc/apt /etc/environment /etc/profile* || true") == ""
    bundle = site_settings(os.environ).certificates
    if bundle is not None:
        size = bundle.stat().st_size
        same = run(f"find / -xdev -type f -size {size}c -exec sha256sum {{}} +")
        assert hashlib.sha256(bundle.read_bytes()).hexdigest() not in same


def test_the_compiler_finds_the_one_library_variant_that_the_boards_share(
    shells: dict[str, Callable[..., str]],
) -> None:
    said = shells["cross"](
        "find /usr/lib/gcc/arm-none-eabi /usr/lib/arm-none-eabi/newlib -name '*.a' "
        "-printf '%h\\n' | sort -u"
    ).split()
    assert len(said) == 2
    assert all(path.endswith("/thumb/v7e-m+fp/hard") for path in said)


def test_the_native_compiler_stands_beside_the_other_one(
    shells: dict[str, Callable[..., str]],
) -> None:
    run = shells["host"]
    assert run("x86_64-linux-gnu-g++ -dumpmachine; arm-none-eabi-g++ -dumpmachine").split() == [
        "x86_64-linux-gnu",
        "arm-none-eabi",
    ]
    assert run("cd /opt/tflm; find . -type f | sort | sha256sum") == shells["cross"](
        "cd /opt/tflm; find . -type f | sort | sha256sum"
    )
