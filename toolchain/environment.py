"""Makes the checkout's ``.venv`` from hash-locked requirements; standard library only.

Run by ``./invoke`` with the system's Python before anything is installed, as
``environment.py VENV LOCK``, and imported by the test task to add the test requirements. Where
``TOOLCHAIN_BUNDLE`` names an offline bundle, the wheels are taken from it and no index is asked.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXIT_CODE = 8
NO_INSTALL_VARIABLE = "TOOLCHAIN_NO_INSTALL"
BUNDLE_VARIABLE = "TOOLCHAIN_BUNDLE"
"""A file that ``./invoke bundle`` made: everything pinned is taken from it."""


class EnvironmentSetupError(Exception):
    """The environment could not be made; the message says why and what to do."""


def is_current(environment: Path, lock: Path) -> bool:
    """Return whether ``environment`` holds what ``lock`` lists, and its Python is still there."""
    stamp = environment / lock.name
    return (
        stamp.is_file()
        and stamp.read_bytes() == lock.read_bytes()
        and os.access(environment / "bin" / "python", os.X_OK)
    )


def _install_venv_module() -> None:
    """Install ensurepip, which Debian's Python leaves to a package of its own."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    what = f"this Python has no ensurepip, which making .venv needs ({sys.executable})."
    advice = f"  next: as root, apt-get install {package}, then run this command again."
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0 or os.environ.get(NO_INSTALL_VARIABLE) == "1":
        raise EnvironmentSetupError(f"{what}\n{advice}")
    print(f"invoke: installing {package} with apt", file=sys.stderr, flush=True)
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
        done = subprocess.run([apt, "-qq", *arguments], env=quiet, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise EnvironmentSetupError(f"apt could not install {package}.\n{advice}")


def extract_wheels(bundle: Path, folder: Path) -> None:
    """Put the wheels of an offline bundle into ``folder``; pip checks them against the lock.

    Raises:
        EnvironmentSetupError: it is no bundle, or damaged.
    """
    try:
        with tarfile.open(bundle, "r:") as archive:
            for entry in archive:
                place, _, name = entry.name.rpartition("/")
                content = archive.extractfile(entry) if entry.isfile() else None
                if place == "wheels" and name.endswith(".whl") and content is not None:
                    with (folder / name).open("wb") as target:
                        shutil.copyfileobj(content, target)
        if not any(folder.iterdir()):
            raise tarfile.TarError("there are no wheels in it")
    except (OSError, ValueError, tarfile.TarError, EOFError) as error:
        raise EnvironmentSetupError(
            f"the bundle {bundle} cannot be read: {error}\n"
            f"  why:  {BUNDLE_VARIABLE} or --bundle names it; it may not have been copied "
            "completely.\n"
            "  next: compare its sha256 with what ./invoke bundle printed, or unset it."
        ) from error


@contextmanager
def bundled_wheels() -> Iterator[Path | None]:
    """Yield a folder with the wheels of the offline bundle that is set; None where none is.

    Raises:
        EnvironmentSetupError: it is no bundle, or damaged.
    """
    bundle = os.environ.get(BUNDLE_VARIABLE)
    if not bundle:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="tinyml-wheels-") as folder:
        extract_wheels(Path(os.path.expanduser(bundle)), Path(folder))  # noqa: PTH111
        yield Path(folder)


def install(environment: Path, lock: Path, wheels: Path | None = None) -> None:
    """Install exactly what ``lock`` lists into ``environment`` and remember that it was done.

    Args:
        environment: the virtual environment.
        lock: requirements with the digest of every file.
        wheels: folder of files to take; then no index is asked.

    Raises:
        EnvironmentSetupError: pip could not install it.
    """
    arguments = [
        str(environment / "bin" / "python"),
        *("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)),
        *(("--no-index", "--find-links", str(wheels)) if wheels else ()),
    ]
    if subprocess.run(arguments, stdout=sys.stderr, check=False).returncode != 0:
        if wheels:
            raise EnvironmentSetupError(
                f"pip could not install {lock.name} from the bundle.\n"
                "  why:  it was made by another version of this project or for another processor, "
                "or a file in it is not the pinned one; the lines above tell.\n"
                "  next: make a new one with ./invoke bundle, on a machine with network."
            )
        raise EnvironmentSetupError(
            f"pip could not install {lock.name}.\n"
            "  why:  no network, a proxy or certificate that pip does not know, "
            "or a file whose hash is not the pinned one; the lines above tell.\n"
            "  next: set PIP_INDEX_URL, PIP_CERT or HTTPS_PROXY if your site needs them, "
            "then run this command again."
        )
    shutil.copyfile(lock, environment / lock.name)


def make(environment: Path, lock: Path) -> None:
    """Make ``environment`` anew unless it is current; the second of two makers waits.

    Raises:
        EnvironmentSetupError: it could not be made.
    """
    if not lock.is_file():
        raise EnvironmentSetupError(f"{lock} is missing.\n  next: restore it from git.")
    with environment.with_name(environment.name + ".lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if is_current(environment, lock):
            return
        with bundled_wheels() as wheels:
            _make_anew(environment, lock, wheels)


def _make_anew(environment: Path, lock: Path, wheels: Path | None) -> None:
    print(f"invoke: making {environment.name} from {lock.name}", file=sys.stderr, flush=True)
    if importlib.util.find_spec("ensurepip") is None:
        _install_venv_module()
    try:
        if environment.is_symlink() or environment.is_file():
            environment.unlink()
        venv.create(environment, clear=True, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError as error:
        raise EnvironmentSetupError(f"{environment} could not be made: {error}") from error
    install(environment, lock, wheels)


def main(arguments: list[str]) -> int:
    """Make the environment named by the two arguments; return the exit code."""
    environment, lock = (Path(argument) for argument in arguments)
    try:
        make(environment, lock)
    except EnvironmentSetupError as error:
        print(f"invoke: {error}", file=sys.stderr)
        return EXIT_CODE
    except (OSError, ValueError) as error:
        print(
            f"invoke: {environment} could not be made: {error}\n"
            "  why:  the folder may not be written to, its disk is full, or its name has a ':'.\n"
            "  next: make it writable, or move the checkout.",
            file=sys.stderr,
        )
        return EXIT_CODE
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
