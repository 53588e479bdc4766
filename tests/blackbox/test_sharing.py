"""What one machine made is of use on another: step results, and everything pinned."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, steps_known, steps_run, succeeds
from toolchain.engine.connection import find_dockerd
from toolchain.layout import Layout

FULL_VARIABLE = "TOOLCHAIN_OFFLINE_TEST"
"""When ``1``, the whole build runs without network, which takes five minutes."""


def require_same_outputs(other: Checkout, built: Checkout) -> None:
    made, there = other.outputs(), built.outputs()
    assert f"{TARGET}/sine_int8/hello_world.bin" in made
    # Other tests may have built further boards there.
    assert made.items() <= there.items()


def test_what_was_exported_is_built_elsewhere_without_a_step(
    built: Checkout, tmp_path: Path
) -> None:
    export = tmp_path / "an export"
    done = built.invoke("cache", "export", str(export), "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("exported ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["an export"]
    other = built.copy_to(tmp_path / "another machine", cache=tmp_path / "its cache")
    done = other.invoke("cache", "import", str(export))
    assert done.returncode == 0, done.stderr
    done = other.invoke("build", "--target", TARGET, DOCKER_HOST=f"unix://{tmp_path}/absent.sock")
    assert done.returncode == 0, done.stderr
    assert steps_run(done.stderr) == set()
    assert len(steps_known(done.stderr)) >= 6
    require_same_outputs(other, built)


def test_a_poisoned_result_is_refused_and_made_again(built: Checkout, tmp_path: Path) -> None:
    export = tmp_path / "export"
    assert built.invoke("cache", "export", str(export), "--target", TARGET).returncode == 0
    image = (built.output / "hello_world.bin").read_bytes()
    (blob,) = (path for path in (export / "cas/sha256").glob("*/*") if path.read_bytes() == image)
    blob.chmod(0o600)
    blob.write_bytes(image[:-1] + bytes([image[-1] ^ 1]))
    other = built.copy_to(tmp_path / "another machine", cache=tmp_path / "its cache")
    done = other.invoke("cache", "import", str(export))
    assert done.returncode == 28
    assert "1 results" in done.stderr
    assert "was refused" in done.stderr
    done = other.invoke("build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    assert {name.split()[0] for name in steps_run(done.stderr)} == {"firmware"}
    require_same_outputs(other, built)


def test_the_cache_is_kept_within_its_bound_by_builds(lone_copy: Checkout) -> None:
    lone_copy.touch_firmware()
    done = lone_copy.invoke("build", "--target", TARGET, TOOLCHAIN_CACHE_LIMIT="5 MB")
    assert done.returncode == 0, done.stderr
    assert "the cache had outgrown 5 MB" in done.stderr
    shown = lone_copy.invoke("cache", "--json", TOOLCHAIN_CACHE_LIMIT="5 MB")
    assert '"limit_bytes": 5000000' in shown.stdout
    kept = sum(
        path.stat().st_size
        for name in ("ac", "cas")
        for path in (lone_copy.cache / name).rglob("*")
        if path.is_file()
    )
    assert kept <= 5_000_000
    # What the user has of the build does not depend on the cache.
    assert (lone_copy.output / "hello_world.bin").is_file()


@pytest.fixture(scope="module")
def bundle(built: Checkout, layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if os.geteuid() != 0 or not succeeds("unshare", "--net", "true"):
        pytest.skip("not run: the network can only be cut by a privileged root")
    if find_dockerd(os.environ) is None:
        pytest.skip("not run: there is no dockerd to start without network")
    path = tmp_path_factory.mktemp("bundle") / "a bundle.tar"
    # What is pinned has been fetched into the user's cache already.
    done = built.invoke("bundle", "--out", str(path), TOOLCHAIN_CACHE=str(layout.cache))
    assert done.returncode == 0, done.stderr
    assert "sha256 " in done.stdout
    return path


_INSTALL_REMOTE = """
from toolchain.console import make_reporter
from toolchain.extra_packages import require_packages
from toolchain.pins import REMOTE_LOCK
require_packages(REMOTE_LOCK, "grpc", make_reporter(quiet=True))
import grpc
import buildgrid.common
"""

_LOAD_BASE = """
from pathlib import Path
import sys
from toolchain.console import make_reporter
from toolchain.engine import open_engine
from toolchain.images import project_pins
from toolchain.images.ensure import ensure_image, fetch_inputs
from toolchain.images.making import making_images
from toolchain.layout import project_layout
layout, reporter = project_layout(), make_reporter(quiet=False)
pins = project_pins(layout)
with open_engine(layout, reporter) as engine:
    assert engine.private
    assert engine.client.images.list() == []
    base = ensure_image(engine, "base", layout=layout, pins=pins, reporter=reporter)
    with making_images(engine, layout, reporter):
        lists, files = fetch_inputs(engine, base, layout=layout, pins=pins, reporter=reporter)
    print(base, len(lists), len(files))
"""


def test_a_machine_without_network_has_all_it_needs_in_a_bundle(
    built: Checkout, bundle: Path, tmp_path: Path
) -> None:
    # No network, home, cache, engine or image, as on a machine that was unpacked a minute ago.
    folder, home = tmp_path / "clone", tmp_path / "home"
    left_out = shutil.ignore_patterns(".venv", ".venv.lock", "build")
    shutil.copytree(built.folder, folder, ignore=left_out)
    home.mkdir()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "TOOLCHAIN_NO_INSTALL": "1",
        "TOOLCHAIN_BUNDLE": str(bundle),
        "TOOLCHAIN_PYTHON": sys.executable,
        # A socket below a long path could not be made, nor be found by another's default.
        "DOCKER_HOST": f"unix://{tmp_path}/absent.sock",
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "--net", *command],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("./invoke", "targets", "--json")
    assert done.returncode == 0, done.stderr
    assert "making .venv" in done.stderr
    done = run(".venv/bin/python", "-c", _INSTALL_REMOTE)
    assert done.returncode == 0, done.stderr
    if os.environ.get(FULL_VARIABLE) != "1":
        done = run(".venv/bin/python", "-c", _LOAD_BASE)
        assert done.returncode == 0, done.stderr
        assert "base: loaded from a bundle.tar" in done.stderr
        name, lists, files = done.stdout.split()
        assert name.startswith("tinyml-toolchain/base:")
        assert int(lists) >= 6
        assert int(files) > 150
        return
    done = run("./invoke", "build", "--target", TARGET)
    assert done.returncode == 0, done.stderr
    other = Checkout(folder, home / ".cache/tinyml-toolchain", "")
    require_same_outputs(other, built)
