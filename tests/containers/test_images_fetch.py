"""Fetching with the real apt, pip and cargo: what was pinned, and every way in which it fails."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.images_support import kept, other_digest, work_left
from tests.containers.sandbox_support import SilentReporter
from tests.unit.registry_support import (
    Server,
    add_crate,
    add_packages,
    add_wheel,
    cargo_config,
    closed_port,
    serve,
    sha256,
)
from toolchain.digest import Digest
from toolchain.engine import Engine
from toolchain.errors import DigestMismatchError, NetworkError, PinnedPackageGoneError
from toolchain.images import debian
from toolchain.images.container import FetchContainer, open_fetch_container
from toolchain.images.downloads import Downloads
from toolchain.images.fetch import Fetcher, download_crate, download_wheels, make_pip
from toolchain.images.site import (
    CARGO_CONFIG_IN_CONTAINER,
    DEBIAN_MIRROR_VARIABLE,
    Site,
    site_settings,
)
from toolchain.layout import Layout
from toolchain.pinning.check import check_crate, check_packages
from toolchain.pins import FilePin, Pins, TflmPins, parse_lock

WHEEL = "/files/tiny-1.0-py3-none-any.whl"
CRATE = "/crates/tinycrate/1.0.0"
DEB = "/debian/pool/tinydeb_1.0_all.deb"


def make_fetcher(
    engine: Engine, base: str, pins: Pins, layout: Layout, network: str = "host", **site: str
) -> Fetcher:
    return Fetcher(
        engine,
        base,
        pins=pins,
        layout=layout,
        reporter=SilentReporter(),
        site=site_settings(os.environ | site),
        network=network,
    )


@pytest.fixture
def own(engine: Engine, layout: Layout, tmp_path: Path) -> Iterator[Layout]:
    """A cache of its own, in which nothing but downloads is left."""
    own = Layout(layout.project, tmp_path / "cache")
    yield own
    assert work_left(engine, own) == []


def make_of(pins: Pins) -> FilePin:
    return pins.cross.packages["make"]


def test_a_pinned_package_is_fetched_checked_and_remembered(
    engine: Engine, base_image: str, pins: Pins, own: Layout
) -> None:
    wanted = {"make": make_of(pins)}
    files = make_fetcher(engine, base_image, pins, own).pinned_packages(wanted)
    assert list(files.values()) == [make_of(pins).digest]
    assert Downloads(own.downloads).is_intact(make_of(pins).digest)
    # What is known needs no network any more.
    again = make_fetcher(engine, base_image, pins, own, network="none").pinned_packages(wanted)
    assert again == files


def test_a_package_of_another_digest_is_refused_and_nothing_of_it_is_kept(
    engine: Engine, base_image: str, pins: Pins, own: Layout, tmp_path: Path
) -> None:
    (tmp_path / "good").write_bytes(b"good")
    good = Downloads(own.downloads).add(tmp_path / "good", "good")
    wanted = {"libmpfr6": pins.cross.packages["libmpfr6"], "make": other_digest(make_of(pins))}
    with pytest.raises(DigestMismatchError) as caught:
        make_fetcher(engine, base_image, pins, own).pinned_packages(wanted)
    assert caught.value.what.startswith("make_")
    assert "0" * 64 in caught.value.what
    assert make_of(pins).sha256 in caught.value.what
    assert kept(own) == {good.sha256}
    assert Downloads(own.downloads).is_intact(good)


def test_a_package_that_is_gone_is_told_with_the_cure(
    engine: Engine, base_image: str, pins: Pins, own: Layout
) -> None:
    wanted = {"make": make_of(pins).model_copy(update={"version": "4.0-0.1"})}
    with pytest.raises(PinnedPackageGoneError) as caught:
        make_fetcher(engine, base_image, pins, own).pinned_packages(wanted)
    assert "make" in caught.value.what
    assert "4.0-0.1" in caught.value.why
    assert DEBIAN_MIRROR_VARIABLE in caught.value.next_step
    assert "TOOLCHAIN_BUNDLE" in caught.value.next_step
    assert "./invoke pins --update" in caught.value.next_step
    assert kept(own) == set()


def test_without_network_the_fetch_ends_and_says_so(
    engine: Engine, base_image: str, pins: Pins, own: Layout
) -> None:
    fetcher = make_fetcher(engine, base_image, pins, own, network="none")
    with pytest.raises(NetworkError) as caught:
        fetcher.pinned_packages({"make": make_of(pins)})
    assert "Debian's package index" in caught.value.what
    assert "http_proxy" in caught.value.next_step
    assert kept(own) == set()


@pytest.mark.parametrize("unsigned", [True, False])
def test_a_mirror_of_the_site_is_asked_and_believed_only_with_debians_signature(
    engine: Engine, base_image: str, pins: Pins, own: Layout, unsigned: bool
) -> None:
    with serve() as server:
        site = {DEBIAN_MIRROR_VARIABLE: f"{server.url}/debian", "no_proxy": "127.0.0.1"}
        if unsigned:
            add_packages(server, pins.debian.suite, {"make": make_of(pins).version})
        with pytest.raises(NetworkError) as caught:
            make_fetcher(engine, base_image, pins, own, **site).pinned_packages(
                {"make": make_of(pins)}
            )
        assert f"/debian/dists/{pins.debian.suite}/Release" in server.asked
    assert "not the mirror" in caught.value.why
    said = "is not signed" if unsigned else "does not have a Release file"
    assert said in caught.value.why


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as server:
        add_wheel(server, "tiny", "1.0")
        add_crate(server, "tinycrate", "1.0.0")
        add_packages(server, "tst", {"tinydeb": "1.0"})
        yield server


@pytest.fixture(scope="module")
def equipped(
    engine: Engine,
    base_image: str,
    pins: Pins,
    layout: Layout,
    server: Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[FetchContainer]:
    """One container with all three clients, whose pip asks the server of the tests."""
    own = Layout(layout.project, tmp_path_factory.mktemp("equipped"))
    site = site_settings(os.environ | {"no_proxy": "127.0.0.1,localhost"})
    with open_fetch_container(engine, base_image, own, site) as container:
        debian.update_index(container, pins.debian.suite)
        packages = (*pins.train.system_packages, *pins.train.build_packages)
        debian.install(container, [*packages, *pins.fetch.cargo_packages])
        make_pip(container, pins.train.python)
        container.write_file(
            "/etc/pip.conf", f"[global]\nindex-url = {server.url}/simple/\n".encode()
        )
        yield container
    assert work_left(engine, own) == []


@pytest.fixture
def container(equipped: FetchContainer, server: Server) -> Iterator[FetchContainer]:
    yield equipped
    server.statuses.clear()
    server.cut.clear()


@pytest.fixture
def downloads(own: Layout) -> Downloads:
    return Downloads(own.downloads)


def fetch_wheel(
    container: FetchContainer, downloads: Downloads, version: str, digest: str
) -> dict[str, Digest]:
    text = f"tiny=={version} --hash=sha256:{digest}\n"
    lock = text.encode(), parse_lock(text, "a.lock")
    container.run(["rm", "-rf", "/out/wheels"], "the last test's wheels")
    return dict(download_wheels(container, lock, downloads))


def test_pip_brings_the_locked_wheel(
    container: FetchContainer, downloads: Downloads, server: Server
) -> None:
    content = server.files[WHEEL]
    files = fetch_wheel(container, downloads, "1.0", sha256(content))
    assert list(files) == ["tiny-1.0-py3-none-any.whl"]
    (digest,) = files.values()
    assert downloads.path(digest).read_bytes() == content


def test_a_wheel_of_another_digest_is_refused_and_nothing_of_it_is_kept(
    container: FetchContainer, downloads: Downloads, server: Server, own: Layout
) -> None:
    with pytest.raises(DigestMismatchError) as caught:
        fetch_wheel(container, downloads, "1.0", "0" * 64)
    assert caught.value.what == (
        f"tiny==1.0 is not what was pinned: expected sha256 {'0' * 64}, "
        f"got {sha256(server.files[WHEEL])}"
    )
    assert kept(own) == set()


def test_a_wheel_that_pip_took_wrongly_is_refused_here(
    container: FetchContainer, downloads: Downloads, server: Server, own: Layout
) -> None:
    text = f"tiny==1.0 --hash=sha256:{sha256(server.files[WHEEL])}\n"
    lock = text.encode(), parse_lock(text.replace(sha256(server.files[WHEEL]), "0" * 64), "a.lock")
    container.run(["rm", "-rf", "/out/wheels"], "the last test's wheels")
    with pytest.raises(DigestMismatchError, match=r"tiny-1\.0-py3"):
        download_wheels(container, lock, downloads)
    assert kept(own) == set()


@pytest.mark.parametrize(
    ("version", "path", "status", "kind", "why"),
    [
        ("1.1", "", 0, PinnedPackageGoneError, "withdrawn"),
        ("1.0", WHEEL, 404, PinnedPackageGoneError, "withdrawn"),
        ("1.0", WHEEL, 403, NetworkError, "refuses"),
        ("1.0", "/simple/tiny/", 403, NetworkError, "offers no version"),
    ],
)
def test_what_pip_says_of_a_server_is_understood(
    container: FetchContainer,
    downloads: Downloads,
    server: Server,
    version: str,
    path: str,
    status: int,
    kind: type[PinnedPackageGoneError | NetworkError],
    why: str,
) -> None:
    server.statuses[path] = status
    with pytest.raises(kind) as caught:
        fetch_wheel(container, downloads, version, sha256(server.files[WHEEL]))
    assert why in caught.value.why
    assert "the Python wheels" in caught.value.what


def test_a_transient_fault_is_tried_again(
    container: FetchContainer, downloads: Downloads, server: Server
) -> None:
    server.cut.add(WHEEL)
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if line.startswith("trying again"):
            server.cut.clear()

    text = f"tiny==1.0 --hash=sha256:{sha256(server.files[WHEEL])}\n"
    container.run(["rm", "-rf", "/out/wheels"], "the last test's wheels")
    lock = text.encode(), parse_lock(text, "a.lock")
    assert len(download_wheels(container, lock, downloads, hear)) == 1
    assert said.count("trying again (2 of 3)") == 1


def tiny_crate(pins: Pins, server: Server) -> TflmPins:
    content = server.files[CRATE]
    return pins.tflm.model_copy(
        update={
            "crate": "tinycrate",
            "version": "1.0.0",
            "sha256": sha256(content),
            "size": len(content),
        }
    )


def at(container: FetchContainer, url: str) -> FetchContainer:
    """Return the container at a site whose cargo configuration names the index of ``url``."""
    text = f"{cargo_config(url)}[net]\nretry = 0\n"
    container.write_file(CARGO_CONFIG_IN_CONTAINER, text.encode())
    container.run(["rm", "-rf", "/out/cargo"], "the last test's crates")
    site = dataclasses.replace(
        container.site, cargo_config=Path("config.toml"), cargo_index=f"sparse+{url}/index/"
    )
    return dataclasses.replace(container, site=site)


def test_cargo_brings_the_pinned_crate_from_the_sites_index(
    container: FetchContainer, pins: Pins, downloads: Downloads, server: Server
) -> None:
    pin = tiny_crate(pins, server)
    assert download_crate(at(container, server.url), pin, downloads) == pin.digest
    assert downloads.path(pin.digest).read_bytes() == server.files[CRATE]


def test_a_crate_of_another_digest_is_refused_and_nothing_of_it_is_kept(
    container: FetchContainer, pins: Pins, downloads: Downloads, server: Server, own: Layout
) -> None:
    pin = tiny_crate(pins, server).model_copy(update={"sha256": "0" * 64})
    with pytest.raises(DigestMismatchError) as caught:
        download_crate(at(container, server.url), pin, downloads)
    assert caught.value.what.startswith("tinycrate-1.0.0.crate is not what was pinned: expected")
    assert sha256(server.files[CRATE]) in caught.value.what
    assert kept(own) == set()


def test_a_crate_that_its_index_disowns_is_refused_by_cargo(
    container: FetchContainer, pins: Pins, downloads: Downloads, server: Server, own: Layout
) -> None:
    pin = tiny_crate(pins, server)
    add_crate(server, "tinycrate", "1.0.0", "0" * 64)
    with pytest.raises(DigestMismatchError, match=r"tinycrate v1\.0\.0 is not what was pinned"):
        download_crate(at(container, server.url), pin, downloads)
    add_crate(server, "tinycrate", "1.0.0")
    assert kept(own) == set()


@pytest.mark.parametrize(
    ("version", "path", "status", "kind", "why"),
    [
        ("1.0.7", "", 0, PinnedPackageGoneError, "withdrawn"),
        ("1.0.0", CRATE, 404, PinnedPackageGoneError, "withdrawn"),
        ("1.0.0", "/index/config.json", 404, NetworkError, "not the mirror"),
        ("1.0.0", "/index/config.json", 403, NetworkError, "refuses"),
    ],
)
def test_what_cargo_says_of_a_server_is_understood(
    container: FetchContainer,
    pins: Pins,
    downloads: Downloads,
    server: Server,
    version: str,
    path: str,
    status: int,
    kind: type[PinnedPackageGoneError | NetworkError],
    why: str,
) -> None:
    server.statuses[path] = status
    pin = tiny_crate(pins, server).model_copy(update={"version": version})
    with pytest.raises(kind) as caught:
        download_crate(at(container, server.url), pin, downloads)
    assert why in caught.value.why
    assert f"the crate tinycrate {version}" in caught.value.what


def test_the_real_crate_is_refused_with_another_pin(
    container: FetchContainer, pins: Pins, downloads: Downloads, own: Layout
) -> None:
    container.run(["rm", "-rf", "/out/cargo"], "the last test's crates")
    with pytest.raises(DigestMismatchError) as caught:
        download_crate(container, other_digest(pins.tflm), downloads)  # type: ignore[arg-type]
    assert pins.tflm.file_name in caught.value.what
    assert pins.tflm.sha256 in caught.value.what
    assert kept(own) == set()


def ask_apt(container: FetchContainer, pins: Pins, url: str, version: str = "1.0") -> list[Path]:
    """Let apt fetch from an index that nobody signed, as it would from the suite's."""
    source = f"deb [trusted=yes] {url}/debian tst main\n"
    container.write_file("/etc/apt/sources.list", source.encode())
    container.run(
        ["bash", "-c", "rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/* /out/*.deb"],
        "the last test's packages",
    )
    bare = dataclasses.replace(container.site, debian_mirror="")
    asked = dataclasses.replace(container, site=bare)
    debian.update_index(asked, pins.debian.suite)
    return debian.download(asked, {"tinydeb": version})


def test_apt_brings_the_package_of_its_index(
    container: FetchContainer, pins: Pins, server: Server
) -> None:
    (path,) = ask_apt(container, pins, server.url)
    assert path.name == "tinydeb_1.0_all.deb"
    assert path.read_bytes() == server.files[DEB]
    assert debian.offered_packages(container, ["tinydeb"]) == {
        "tinydeb": FilePin(
            version="1.0", sha256=sha256(server.files[DEB]), size=len(server.files[DEB])
        )
    }
    with pytest.raises(PinnedPackageGoneError, match="absentdeb"):
        debian.offered_packages(container, ["tinydeb", "absentdeb"])


def test_apt_refuses_what_is_not_in_its_index(
    container: FetchContainer, pins: Pins, server: Server
) -> None:
    add_packages(server, "tst", {"tinydeb": "1.0"}, "0" * 64)
    with pytest.raises(DigestMismatchError) as caught:
        ask_apt(container, pins, server.url)
    add_packages(server, "tst", {"tinydeb": "1.0"})
    assert caught.value.what == (
        f"tinydeb_1.0_all.deb is not what was pinned: expected sha256 {'0' * 64}, "
        f"got {sha256(server.files[DEB])}"
    )


@pytest.mark.parametrize(
    ("version", "path", "status", "kind", "why"),
    [
        ("1.1", "", 0, PinnedPackageGoneError, "newest version only"),
        ("1.0", DEB, 404, PinnedPackageGoneError, "newest version only"),
        ("1.0", DEB, 403, NetworkError, "refuses"),
    ],
)
def test_what_apt_says_of_a_server_is_understood(
    container: FetchContainer,
    pins: Pins,
    server: Server,
    version: str,
    path: str,
    status: int,
    kind: type[PinnedPackageGoneError | NetworkError],
    why: str,
) -> None:
    server.statuses[path] = status
    with pytest.raises(kind) as caught:
        ask_apt(container, pins, server.url, version)
    assert why in caught.value.why


@pytest.mark.parametrize("fault", ["closed", "certificate", "name"])
def test_no_client_reaches_what_is_not_there(
    container: FetchContainer, pins: Pins, downloads: Downloads, fault: str, tmp_path: Path
) -> None:
    why = {
        "closed": "cannot be reached",
        "certificate": "certificate is not trusted",
        "name": "cannot be resolved",
    }[fault]
    with serve(tls=tmp_path) as untrusted:
        url = {
            "closed": f"http://127.0.0.1:{closed_port()}",
            "certificate": untrusted.url,
            "name": "http://nowhere.invalid",
        }[fault]
        pip_url = url.replace("http://nowhere", "https://nowhere")
        errors = []
        with pytest.raises(NetworkError) as caught:
            ask_apt(container, pins, url)
        errors.append(caught.value)
        with pytest.raises(NetworkError) as caught:
            container.run(
                [
                    *("/opt/fetch/bin/pip", "download", "--no-cache-dir", "--retries", "1"),
                    *("--index-url", f"{pip_url}/simple/", "--dest", "/out/wheels", "tiny"),
                ],
                "the Python wheels",
            )
        errors.append(caught.value)
        with pytest.raises(NetworkError) as caught:
            download_crate(at(container, url), pins.tflm, downloads)
        errors.append(caught.value)
    assert [why in error.why for error in errors] == [True] * 3, errors


def test_a_fetching_container_knows_the_site_and_is_gone_afterwards(
    engine: Engine, base_image: str, own: Layout, tmp_path: Path
) -> None:
    (tmp_path / "bundle").write_text("a certificate")
    (tmp_path / "config.toml").write_text("[registries.x]\nindex = 'y'\n")
    site = site_settings(
        {
            "SSL_CERT_FILE": str(tmp_path / "bundle"),
            "CARGO_HOME": str(tmp_path),
            "https_proxy": "http://127.0.0.1:9",
        }
    )
    with open_fetch_container(engine, base_image, own, site) as container:
        assert len(work_left(engine, own)) == 2
        said = container.run(
            [
                *("bash", "-c"),
                'cat "$SSL_CERT_FILE" "$PIP_CERT" /run/site-cargo.toml; echo "$HTTPS_PROXY"; '
                '(echo x > "$SSL_CERT_FILE") 2> /dev/null || echo refused',
            ],
            "the settings",
        )
    assert said.startswith(
        "a certificatea certificate[registries.x]\nindex = 'y'\nhttp://127.0.0.1:9"
    )
    assert "refused" in said
    assert (tmp_path / "bundle").read_text() == "a certificate"
    assert list(own.cache.iterdir()) == []


def test_a_bare_site_gives_the_container_nothing(
    engine: Engine, base_image: str, own: Layout
) -> None:
    bare = Site({}, None, None, "", "")
    with open_fetch_container(engine, base_image, own, bare) as container:
        names = container.run(["bash", "-c", "compgen -e"], "the settings").split()
    assert {name for name in names if "proxy" in name.lower() or "CERT" in name} == set()


def test_pinned_packages_are_compared_with_what_the_index_offers(
    container: FetchContainer, pins: Pins, server: Server
) -> None:
    content = server.files[DEB]
    good = FilePin(version="1.0", sha256=sha256(content), size=len(content))
    ask_apt(container, pins, server.url)
    packages = {"tinydeb": good}

    def states(packages: dict[str, FilePin]) -> dict[str, tuple[str, str]]:
        found = check_packages(container, packages, "pins.toml")
        return {state.name: (state.state, state.offered) for state in found}

    assert states(packages) == {"tinydeb": ("current", "1.0")}
    older = good.model_copy(update={"version": "0.9"})
    assert states({"tinydeb": older, "absentdeb": good}) == {
        "tinydeb": ("vanished", "1.0"),
        "absentdeb": ("vanished", ""),
    }
    (state,) = check_packages(container, {"tinydeb": other_digest(good)}, "pins.toml")
    assert (state.state, state.note) == ("vanished", "the mirror has another file of this version")


def test_a_pinned_crate_is_compared_with_what_its_registry_offers(
    container: FetchContainer, pins: Pins, server: Server
) -> None:
    place = at(container, server.url)
    pin = tiny_crate(pins, server)
    assert check_crate(place, pin, "pins.toml").state == "current"
    gone = pin.model_copy(update={"version": "0.9.0"})
    state = check_crate(place, gone, "pins.toml")
    assert (state.state, state.pinned) == ("vanished", "0.9.0")
    index = "/index/ti/ny/tinycrate"
    older, newer = server.files[index], server.files[index].replace(b"1.0.0", b"1.2.0")
    server.files[index] = older + newer
    try:
        outdated = check_crate(at(container, server.url), pin, "pins.toml")
    finally:
        server.files[index] = older
    assert (outdated.state, outdated.offered) == ("outdated", "1.2.0")
