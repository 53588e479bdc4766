"""Which compiler is on ``PATH``, by content: a digest that does not depend on where it stands.

The compiler itself is asked for everything it would use (``-print-prog-name``,
``-print-file-name`` and the list of include folders that ``-v`` shows), so that the digest is the
same for a compiler in an image, installed by Debian's packages or unpacked elsewhere, and another
one for any other compiler.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolchain.digest import Digest
from toolchain.errors import UnpinnedToolError

_FLAGS_M4 = ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard")
_FLAGS_M7 = ("-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard")
_CALLED = ("gcc", "g++", "ar", "ld", "objcopy")
_INNER = ("cc1", "cc1plus", "collect2", "as", "ld")
_ARM_FILES = (
    *("libgcc.a", "libm.a", "libc_nano.a", "libg_nano.a", "libstdc++_nano.a", "libsupc++_nano.a"),
    *("nano.specs", "specs"),
)
_NATIVE_FILES = ("libgcc.a", "libgcc_eh.a", "libstdc++.a", "libsupc++.a", "specs")
_SHARED = ("libisl.", "libmpc.", "libmpfr.")
_MOST_SECONDS = 60


@dataclass(frozen=True)
class CompilerKind:
    """A compiler that steps call.

    Attributes:
        prefix: of its programs.
        flags: of each core whose libraries are linked.
        files: libraries and settings that it may link or read.
        all_headers: False leaves out folders that are not the compiler's own, such as the C
            library's.
    """

    prefix: str
    flags: tuple[tuple[str, ...], ...]
    files: tuple[str, ...]
    all_headers: bool


CROSS = CompilerKind("arm-none-eabi-", (_FLAGS_M4, _FLAGS_M7), _ARM_FILES, all_headers=True)
NATIVE = CompilerKind("x86_64-linux-gnu-", (("-m64",),), _NATIVE_FILES, all_headers=False)


@dataclass(frozen=True)
class CompilerContent:
    """A compiler that was found.

    Attributes:
        program: the C compiler's path.
        version: what it calls itself.
        files: sha256 of everything that computes its output, by a name that has no place in it.
    """

    program: Path
    version: str
    files: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """Digest over all files."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def compiler_content(kind: CompilerKind, path: str) -> CompilerContent:
    """Return the compiler that ``PATH`` leads to, with GNU make.

    Args:
        kind: which compiler.
        path: the value of ``PATH``.

    Raises:
        UnpinnedToolError: a program of it is missing or cannot be run.
    """
    files: dict[str, Path] = {"program make": _found("make", path)}
    for name in _CALLED:
        files[f"program {name}"] = _found(kind.prefix + name, path)
    gcc, gxx = files["program gcc"], files["program g++"]
    for name in _INNER:
        inner = Path(_said([gcc, f"-print-prog-name={name}"]))
        # Without a folder it is one that gcc looks for on PATH.
        files[f"inner {name}"] = inner if inner.is_absolute() else _found(str(inner), path)
    for number, flags in enumerate(kind.flags):
        for name in kind.files:
            file = Path(_said([gcc, *flags, f"-print-file-name={name}"]))
            if file.is_absolute():
                files[f"library {number} {name}"] = file
        for language, compiler in (("c", gcc), ("c++", gxx)):
            folders = _include_folders(compiler, flags, language)
            if not kind.all_headers:
                folders = [each for each in folders if {"gcc", "c++"} & set(each.parts)]
            for place, folder in enumerate(folders):
                for file in _headers(folder, folders):
                    files[f"{language} {number} {place} {file.relative_to(folder)}"] = file
    for library in _shared_libraries(files["inner cc1plus"]):
        files[f"shared {library.name.partition('.so')[0]}"] = library
    known: dict[Path, str] = {}
    try:
        digests = {name: _sha256(file.resolve(), known) for name, file in files.items()}
    except OSError as error:
        raise UnpinnedToolError(f"the compiler {gcc} cannot be examined: {error}") from error
    return CompilerContent(gcc, _said([gcc, "--version"]).splitlines()[0], digests)


def _sha256(file: Path, known: dict[Path, str]) -> str:
    if file not in known:
        known[file] = Digest.of_file(file).sha256
    return known[file]


def _found(name: str, path: str) -> Path:
    program = shutil.which(name, path=path)
    if program is None:
        raise UnpinnedToolError(f"there is no {name} on PATH")
    return Path(program)


def _run(command: Sequence[str | Path], *, errors: bool = False, check: bool = True) -> str:
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=_MOST_SECONDS,
            check=check,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise UnpinnedToolError(f"{command[0]} cannot be run", why=str(error)) from error
    return (done.stderr if errors else done.stdout).decode(errors="replace")


def _said(command: Sequence[str | Path]) -> str:
    return _run(command).strip()


def _include_folders(compiler: Path, flags: Sequence[str], language: str) -> list[Path]:
    said = _run([compiler, *flags, "-E", "-v", "-x", language, "/dev/null"], errors=True)
    listed = said.partition("#include <...> search starts here:")[2].partition("End of search")[0]
    folders = [Path(line.strip()) for line in listed.splitlines() if line.strip()]
    return [folder.resolve() for folder in folders if folder.is_dir()]


def _headers(folder: Path, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files below a folder, without what is in, or leads to, another of ``folders``."""
    others = [each for each in folders if each != folder and each.is_relative_to(folder)]
    for entry in sorted(folder.iterdir()):
        if any(other.is_relative_to(entry) for other in others):
            continue
        if entry.is_dir():
            yield from (each for each in sorted(entry.rglob("*")) if each.is_file())
        elif entry.is_file():
            yield entry


def _shared_libraries(program: Path) -> list[Path]:
    """Return the libraries that compute for the compiler; the C library's own are the system's."""
    found = []
    # Of a program that is linked statically ldd says so, as a failure.
    for line in _run(["ldd", program], check=False).splitlines():
        name, _, rest = line.strip().partition(" => ")
        place = Path(rest.rpartition(" (")[0])
        if name.startswith(_SHARED) and place.is_absolute():
            found.append(place)
    return found
