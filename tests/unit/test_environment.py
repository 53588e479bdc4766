"""The launcher and its environment up to where pip begins, and the folders of a checkout."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.engine_support import open_folder, without_privileges
from tests.unit.registry_support import sha256, wheel
from toolchain import environment
from toolchain.layout import Layout, project_layout

PROJECT = project_layout().project
# Says what it was called with; as "TOOLCHAIN_PYTHON" it also makes what environment.py would.
_PYTHON = """\
#!/bin/sh
case $1 in
    -c) exit 0 ;;
    */environment.py)
        echo "made $2 from $3" >> "$SEEN"
        mkdir -p "$2/bin"
        ln -sf "$0" "$2/bin/python"
        cp "$3" "$2/requirements.lock"
        exit ;;
esac
echo "in $PWD" >> "$SEEN"
for argument in "$@"; do echo "got $argument" >> "$SEEN"; done
exit 7
"""


@dataclass(frozen=True)
class Checkout:
    """A checkout with only what the launcher needs, and a Python that tells what is asked of it."""

    folder: Path
    python: Path
    seen: Path

    @property
    def venv(self) -> Path:
        return self.folder / ".venv"

    def invoke(
        self, *arguments: str, cwd: Path | None = None, launcher: Path | None = None, **extra: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(launcher or self.folder / "invoke"), *arguments],
            cwd=cwd or self.folder,
            env={"PATH": os.environ["PATH"], "SEEN": str(self.seen), **extra},
            capture_output=True,
            text=True,
            check=False,
        )

    def lines(self) -> list[str]:
        lines = self.seen.read_text().splitlines() if self.seen.exists() else []
        self.seen.unlink(missing_ok=True)
        return lines

    @property
    def made(self) -> str:
        return f"made {self.venv} from {self.folder}/requirements.lock"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "my checkout"
    (folder / "toolchain").mkdir(parents=True)
    for name in ("invoke", "requirements.lock", "toolchain/environment.py"):
        shutil.copy2(PROJECT / name, folder / name)
    python = tmp_path / "a python"
    python.write_text(_PYTHON)
    python.chmod(0o755)
    return Checkout(folder, python, tmp_path / "seen")


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    (checkout.venv / "bin").mkdir(parents=True)
    (checkout.venv / "bin" / "python").symlink_to(checkout.python)
    shutil.copyfile(checkout.folder / "requirements.lock", checkout.venv / "requirements.lock")
    return checkout


def test_a_ready_environment_is_used_at_once_from_any_folder(
    ready: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    done = ready.invoke("build", "--target", "a b", "", cwd=tmp_path / "elsewhere")
    assert done.returncode == 7
    assert done.stdout == done.stderr == ""
    lines = ready.lines()
    assert "toolchain.cli.program" in lines.pop(3)
    assert lines == [
        f"in {tmp_path}/elsewhere",
        *("got -P", "got -c", f"got {ready.folder}"),
        *("got build", "got --target", "got a b", "got "),
    ]


@pytest.mark.parametrize("target", ["../my checkout/invoke", "other link"])
def test_a_link_leads_to_the_checkout_that_it_points_into(
    ready: Checkout, tmp_path: Path, target: str
) -> None:
    folder = tmp_path / "bin of mine"
    folder.mkdir()
    (folder / "other link").symlink_to(ready.folder / "invoke")
    (folder / "inv").symlink_to(target)
    ready.invoke("--list", launcher=folder / "inv", cwd=tmp_path, CDPATH=str(tmp_path))
    assert f"got {ready.folder}" in ready.lines()


def test_an_absent_environment_is_made_by_the_named_python_and_then_used(
    checkout: Checkout,
) -> None:
    done = checkout.invoke("--list", TOOLCHAIN_PYTHON=str(checkout.python))
    assert (done.returncode, done.stderr) == (7, "")
    lines = checkout.lines()
    assert lines[0] == checkout.made
    assert lines[-1] == "got --list"
    checkout.invoke("--list", TOOLCHAIN_PYTHON=str(checkout.python))
    assert checkout.made not in checkout.lines()


@pytest.mark.parametrize("damage", ["no stamp", "old stamp", "no python", "dangling", "a file"])
def test_a_half_made_or_outdated_environment_is_made_again(ready: Checkout, damage: str) -> None:
    stamp, python = ready.venv / "requirements.lock", ready.venv / "bin" / "python"
    if damage == "no stamp":
        stamp.unlink()
    elif damage == "old stamp":
        stamp.write_text(stamp.read_text() + "x\n")
    else:
        python.unlink()
    if damage == "dangling":
        python.symlink_to("/nowhere/python3.11")
    if damage == "a file":
        python.touch(mode=0o644)
    ready.invoke("--list", TOOLCHAIN_PYTHON=str(ready.python))
    assert ready.lines()[0] == ready.made


@pytest.mark.parametrize("python", ["/nowhere/python3", "sh", "false", "no such python"])
def test_a_named_python_that_does_not_suit_is_refused(checkout: Checkout, python: str) -> None:
    done = checkout.invoke("--list", TOOLCHAIN_PYTHON=python)
    assert done.returncode == 8
    assert f"TOOLCHAIN_PYTHON={python} is no Python 3.11, 3.12 or 3.13" in done.stderr
    assert "next: name one, or unset it" in done.stderr
    assert checkout.lines() == []
    assert not checkout.venv.exists()


def test_a_machine_without_python_is_told_what_to_install(
    checkout: Checkout, tmp_path: Path
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "dirname", "readlink", "cmp"):
        (folder / name).symlink_to(str(shutil.which(name)))
    done = checkout.invoke("--list", PATH=str(folder))
    assert done.returncode == 8
    assert "no Python 3.11, 3.12 or 3.13 is installed" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    (folder / "python3.12").symlink_to(checkout.python)
    for name in ("mkdir", "ln", "cp"):
        (folder / name).symlink_to(str(shutil.which(name)))
    assert checkout.invoke("--list", PATH=str(folder)).returncode == 7
    assert checkout.lines()[0] == checkout.made


def make(folder: Path, *, python: str = "pass", **extra: str) -> subprocess.CompletedProcess[str]:
    """Run environment.py as the launcher does, after the statements ``python``."""
    script = PROJECT / "toolchain" / "environment.py"
    arguments = [str(script), str(folder / ".venv"), str(folder / "a.lock")]
    code = f"import sys, runpy; {python}; sys.argv = {arguments!r}; "
    return subprocess.run(
        [sys.executable, "-c", f"{code}runpy.run_path(sys.argv[0], run_name='__main__')"],
        env={"PATH": os.environ["PATH"], **extra},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    (tmp_path / "a.lock").write_text("# nothing\n")
    return tmp_path


def test_a_python_without_ensurepip_is_told_the_package(lock: Path) -> None:
    done = make(lock, python="sys.modules['ensurepip'] = None", TOOLCHAIN_NO_INSTALL="1")
    minor = f"python3.{sys.version_info.minor}"
    assert done.returncode == 8
    assert "this Python has no ensurepip" in done.stderr
    assert f"apt-get install {minor}-venv" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (lock / ".venv").exists()


def test_a_missing_lock_is_told_before_anything_is_made(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        done = make(folder)
        assert done.returncode == 8
        assert "a.lock is missing" in done.stderr
        assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_checkout_that_may_not_be_written_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with open_folder() as folder:
        (folder / "a.lock").touch()
        with without_privileges():
            code = environment.main([str(folder / ".venv"), str(folder / "a.lock")])
    assert code == environment.EXIT_CODE == 8
    said = capsys.readouterr().err
    assert "Permission denied" in said
    assert "make it writable" in said


def test_a_file_in_its_place_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.lock").touch()
    place = tmp_path / ".venv"
    place.touch()

    def stop(*_: object, **__: object) -> None:
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(venv, "create", stop)
    assert environment.main([str(place), str(tmp_path / "a.lock")]) == 8
    assert not place.exists()


def test_an_environment_is_current_only_with_its_stamp_and_its_python(tmp_path: Path) -> None:
    place, lock = tmp_path / ".venv", tmp_path / "a.lock"
    lock.write_text("tiny\n")
    assert not environment.is_current(place, lock)
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    assert not environment.is_current(place, lock)
    shutil.copyfile(lock, place / lock.name)
    assert environment.is_current(place, lock)
    assert not environment.is_current(place, tmp_path / "b.lock")
    lock.write_text("tiny\nmore\n")
    assert not environment.is_current(place, lock)
    shutil.copyfile(lock, place / lock.name)
    (place / "bin" / "python").unlink()
    assert not environment.is_current(place, lock)


def test_a_current_environment_is_left_alone(lock: Path) -> None:
    (lock / ".venv" / "bin").mkdir(parents=True)
    (lock / ".venv" / "bin" / "python").symlink_to("/bin/false")
    shutil.copyfile(lock / "a.lock", lock / ".venv" / "a.lock")
    done = make(lock)
    assert (done.returncode, done.stderr) == (0, "")
    assert (lock / ".venv" / "bin" / "python").readlink() == Path("/bin/false")


def test_the_cache_is_where_the_user_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TOOLCHAIN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert project_layout() == Layout(PROJECT, tmp_path / ".cache" / "tinyml-toolchain")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert project_layout().cache == tmp_path / "xdg" / "tinyml-toolchain"
    monkeypatch.setenv("TOOLCHAIN_CACHE", "~/mine")
    assert project_layout().cache == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TOOLCHAIN_CACHE", "here")
    assert project_layout().cache == tmp_path / "here"


def test_everything_of_the_user_is_in_the_checkout_or_the_cache() -> None:
    layout = Layout(Path("/p"), Path("/c"))
    assert {layout.build, layout.boards} == {Path("/p/build"), Path("/p/boards")}
    inside = [layout.downloads, layout.store, layout.actions, layout.sandboxes, layout.engine]
    assert len(set(inside)) == len(inside)
    assert all(path.parent == layout.cache for path in inside)


@pytest.mark.parametrize(
    "arguments", [("build", "--bundle", "a file.tar"), ("build", "--bundle=a file.tar"), ()]
)
def test_a_bundle_that_is_named_is_told_to_what_makes_the_environment(
    ready: Checkout, arguments: tuple[str, ...]
) -> None:
    ready.python.write_text('#!/bin/sh\necho "bundle ${TOOLCHAIN_BUNDLE-unset}" >> "$SEEN"\n')
    ready.invoke(*arguments)
    assert ready.lines() == ["bundle a file.tar" if arguments else "bundle unset"]


@pytest.mark.parametrize(
    ("words", "task"),
    [
        (("cache", "export", "a b"), ("cache-export", "a b")),
        (("cache", "import", "--json", "x"), ("cache-import", "--json", "x")),
        (("cache", "--json"), ("cache", "--json")),
        (("cache",), ("cache",)),
        (("build", "export"), ("build", "export")),
        ((), ()),
    ],
)
def test_the_caches_further_tasks_are_named_in_two_words(
    ready: Checkout, words: tuple[str, ...], task: tuple[str, ...]
) -> None:
    ready.invoke(*words)
    assert ready.lines()[5:] == [f"got {word}" for word in task]


def bundle_of(folder: Path, wheels: dict[str, bytes]) -> Path:
    path = folder / "bundle.tar"
    with tarfile.open(path, "w") as archive:
        for name, content in wheels.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def wheel_lock(tmp_path: Path) -> tuple[Path, str, bytes]:
    """A lock of one wheel, with the wheel's name and content."""
    name, content = wheel("tiny", "1.0")
    path = tmp_path / "requirements.lock"
    path.write_text(f"tiny==1.0 --hash=sha256:{sha256(content)}\n")
    return path, name, content


def make_from(tmp_path: Path, lock: Path, bundle: Path) -> subprocess.CompletedProcess[str]:
    # No index can be reached, and none is asked.
    environ = {"PATH": os.environ["PATH"], "TOOLCHAIN_BUNDLE": str(bundle)}
    return subprocess.run(
        [sys.executable, environment.__file__, str(tmp_path / "venv"), str(lock)],
        env=environ | {"PIP_INDEX_URL": "http://127.0.0.1:9/"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", ["missing", "no archive", "cut off", "without wheels"])
def test_a_bundle_that_does_not_serve_is_one_message(
    tmp_path: Path, wheel_lock: tuple[Path, str, bytes], kind: str
) -> None:
    path, name, content = wheel_lock
    bundle = bundle_of(tmp_path, {f"wheels/{name}": content})
    if kind == "missing":
        bundle.unlink()
    elif kind == "no archive":
        bundle.write_bytes(b"x" * 2000)
    elif kind == "cut off":
        bundle.write_bytes(bundle.read_bytes()[:600])
    else:
        bundle_of(tmp_path, {f"wheels/../{name}": content, f"other/{name}": content})
    done = make_from(tmp_path, path, bundle)
    assert done.returncode == environment.EXIT_CODE
    assert "bundle" in done.stderr
    assert "  next: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "venv").exists()
