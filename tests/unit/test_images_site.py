"""The site's certificates, proxies and indexes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toolchain.images import site
from toolchain.images.site import (
    BUNDLE_IN_CONTAINER,
    CARGO_CONFIG_IN_CONTAINER,
    CERTIFICATE_VARIABLES,
    site_settings,
)

REPLACED = """\
[source.crates-io]
replace-with = "{name}"
[source.mirror]
registry = "sparse+http://mirror.example/index/"
[source.chained]
replace-with = "mirror"
[source.loop]
replace-with = "loop"
[source.vendored]
directory = "vendor"
[registries.company]
index = "sparse+http://company.example/"
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "site.pem"
    path.write_text("a certificate")
    return path


@pytest.fixture(autouse=True)
def _no_system_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "SYSTEM_BUNDLES", ())


def test_a_bare_site_hands_on_nothing(tmp_path: Path) -> None:
    settings = site_settings({"HOME": str(tmp_path), "PATH": "/bin"})
    assert settings.environment == {}
    assert (settings.certificates, settings.cargo_config, settings.cargo_index) == (None, None, "")
    assert settings.debian_mirror == ""
    assert settings.mounts(tmp_path) == {}


@pytest.mark.parametrize("name", CERTIFICATE_VARIABLES)
def test_each_usual_variable_names_the_bundle_for_all_clients(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    settings = site_settings({"HOME": str(tmp_path), name: str(bundle)})
    assert settings.certificates == bundle
    assert settings.environment == dict.fromkeys(CERTIFICATE_VARIABLES, BUNDLE_IN_CONTAINER)


def test_the_first_variable_whose_file_is_there_counts(bundle: Path, tmp_path: Path) -> None:
    environ = {
        "SSL_CERT_FILE": str(tmp_path / "absent"),
        "REQUESTS_CA_BUNDLE": str(tmp_path),
        "PIP_CERT": str(bundle),
        "CURL_CA_BUNDLE": str(shutil.copy(bundle, tmp_path / "other.pem")),
    }
    assert site_settings(environ).certificates == bundle


def test_a_bundle_in_a_folder_that_is_closed_to_this_user_is_passed_by(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed" / "site.pem"
    usual = Path.is_file

    def is_file(path: Path) -> bool:
        if path == closed:
            raise PermissionError(13, "Permission denied")
        return usual(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    environ = {"SSL_CERT_FILE": str(closed), "PIP_CERT": str(bundle)}
    assert site_settings(environ).certificates == bundle


def test_without_variable_the_systems_bundle_counts(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "linked.pem").symlink_to(bundle)
    monkeypatch.setattr(site, "SYSTEM_BUNDLES", (tmp_path / "absent", tmp_path / "linked.pem"))
    assert site_settings({"SSL_CERT_FILE": ""}).certificates == bundle


@pytest.mark.parametrize("name", ["http_proxy", "HTTPS_PROXY", "no_proxy", "ALL_PROXY"])
def test_a_proxy_is_handed_on_in_both_spellings(tmp_path: Path, name: str) -> None:
    environment = site_settings({"HOME": str(tmp_path), name: "http://127.0.0.1:9"}).environment
    assert environment == dict.fromkeys((name.lower(), name.upper()), "http://127.0.0.1:9")


def test_the_lower_case_proxy_counts_as_it_does_for_curl(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "http_proxy": "http://low:1", "HTTP_PROXY": "http://up:1"}
    assert set(site_settings(environ).environment.values()) == {"http://low:1"}


def test_only_the_clients_own_settings_are_handed_on(tmp_path: Path) -> None:
    wanted = {
        "PIP_INDEX_URL": "http://a.example/simple",
        "PIP_EXTRA_INDEX_URL": "http://b.example/simple",
        "PIP_TRUSTED_HOST": "a.example",
        "PIP_DEFAULT_TIMEOUT": "180",
        "CARGO_REGISTRIES_COMPANY_TOKEN": "t",
        "CARGO_NET_GIT_FETCH_WITH_CLI": "true",
        "CARGO_HTTP_MULTIPLEXING": "false",
    }
    unwanted = {
        "HOME": str(tmp_path),
        "PIP_FIND_LINKS": "/opt/wheels",
        "PIP_NO_INDEX": "1",
        "PIP_TARGET": "/x",
        "CARGO_HOME": str(tmp_path / "cargo"),
        "CARGO_BUILD_TARGET": "x",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PYTHONPATH": "/x",
        "DOCKER_HOST": "unix:///x",
    }
    assert site_settings({**wanted, **unwanted}).environment == wanted


@pytest.mark.parametrize("name", ["config.toml", "config"])
@pytest.mark.parametrize("home", [True, False])
def test_cargos_configuration_is_found_when_it_names_registries(
    tmp_path: Path, name: str, home: bool
) -> None:
    folder = tmp_path / ".cargo" if home else tmp_path / "elsewhere"
    folder.mkdir()
    environ = {"HOME": str(tmp_path)} if home else {"CARGO_HOME": str(folder)}
    (folder / name).write_text("[build]\njobs = 2\n")
    assert site_settings(environ).cargo_config is None
    (folder / name).write_text('[registries.company]\nindex = "x"\n')
    assert site_settings(environ).cargo_config == folder / name
    (folder / name).write_text("[registries")
    assert site_settings(environ).cargo_config is None


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("mirror", "sparse+http://mirror.example/index/"),
        ("chained", "sparse+http://mirror.example/index/"),
        ("company", "sparse+http://company.example/"),
        ("loop", ""),
        ("vendored", ""),
        ("unknown", ""),
    ],
)
def test_the_index_in_the_place_of_cargos_own_is_found(
    tmp_path: Path, name: str, index: str
) -> None:
    (tmp_path / "config.toml").write_text(REPLACED.format(name=name))
    assert site_settings({"CARGO_HOME": str(tmp_path)}).cargo_index == index


@pytest.mark.parametrize(
    "text", ["source = 3", "[source]\ncrates-io = 3", "[source.crates-io]\nreplace-with = [1]"]
)
def test_a_senseless_configuration_is_left_for_cargo_to_refuse(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    settings = site_settings({"CARGO_HOME": str(tmp_path)})
    assert (settings.cargo_config, settings.cargo_index) == (tmp_path / "config.toml", "")


def test_files_are_mounted_as_copies(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(REPLACED)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    settings = site_settings({"CARGO_HOME": str(tmp_path), "SSL_CERT_FILE": str(bundle)})
    mounts = settings.mounts(scratch)
    assert set(mounts.values()) == {BUNDLE_IN_CONTAINER, CARGO_CONFIG_IN_CONTAINER}
    for copy, target in mounts.items():
        assert Path(copy).parent == scratch
        original = bundle if target == BUNDLE_IN_CONTAINER else tmp_path / "config.toml"
        assert Path(copy).read_bytes() == original.read_bytes()


def test_a_mirror_is_taken_without_its_last_slash(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "TOOLCHAIN_DEBIAN_MIRROR": "http://mirror.example/debian/"}
    assert site_settings(environ).debian_mirror == "http://mirror.example/debian"
