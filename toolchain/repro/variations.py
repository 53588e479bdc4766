"""The circumstances of a build that must not show in its outputs.

Each variation changes one of them, and names a fact that is read inside the varied build: where
the fact is the same as in the plain build, the variation was not in effect and proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from toolchain.actions.model import FIXED_ENVIRONMENT, SOURCE_DATE_EPOCH
from toolchain.errors import UsageError

YEAR_SECONDS = 366 * 24 * 3600
"""More than a year, so that the date differs in its year too."""


@dataclass(frozen=True)
class Conditions:
    """Where and how a build runs.

    Attributes:
        root: folder of the build, below the work folder.
        tree_copied: whether the TFLM tree is copied below ``root`` instead of used where it is.
        in_memory: whether the work folder is a tmpfs.
        reversed_order: whether files are made in the opposite order.
        mtime: modification time of the inputs, in seconds since 1970.
        environment: every variable, beside ``PATH``.
        umask: of every process.
        user: number of the user.
        group: number of the group.
        hostname: of the machine.
        cpus: how many processors the build sees; None for all.
        make_shell: that make runs its lines with.
        arch_options: of setarch.
        clock_shift: seconds by which the clock is ahead.
    """

    root: str = "build"
    tree_copied: bool = False
    in_memory: bool = False
    reversed_order: bool = False
    mtime: int = SOURCE_DATE_EPOCH
    environment: Mapping[str, str] = field(default_factory=lambda: dict(FIXED_ENVIRONMENT))
    umask: int = 0o022
    user: int = 65534
    group: int = 65534
    hostname: str = "sandbox"
    cpus: int | None = None
    make_shell: str = "/bin/sh"
    arch_options: tuple[str, ...] = ()
    clock_shift: int = 0

    def with_variables(self, **variables: str) -> Conditions:
        """Return these conditions with further variables."""
        return replace(self, environment={**self.environment, **variables})


@dataclass(frozen=True)
class Variation:
    """One circumstance that is changed.

    Attributes:
        name: also of the fact that must differ.
        described: what is changed, for people.
        change: makes the changed conditions.
    """

    name: str
    described: str
    change: Callable[[Conditions], Conditions]


_NOISE = {
    "CFLAGS": "-O0 -DNOISE",
    "CXXFLAGS": "-O0 -DNOISE",
    "CPPFLAGS": "-DNOISE",
    "LDFLAGS": "-Wl,--emit-relocs",
    "ARFLAGS": "rv",
    "CPATH": "/nonexistent/include",
    "C_INCLUDE_PATH": "/nonexistent/include",
    "CPLUS_INCLUDE_PATH": "/nonexistent/include",
    "LIBRARY_PATH": "/nonexistent/lib",
    "TAR_OPTIONS": "--mtime=@77",
    "GCC_COLORS": "error=01;31",
    "COLUMNS": "37",
    "TERM": "xterm-256color",
    "USER": "somebody",
    "LOGNAME": "somebody",
    "EDITOR": "ed",
    "PYTHONHASHSEED": "7",
    "CAPTURE_THE_UNUSUAL": "a 'quoted' \"value\"\twith $signs",
}

VARIATIONS: tuple[Variation, ...] = (
    # Those that are tried in one build stand together, and do not hide one another.
    Variation(
        "path",
        "workspace, tree and outputs in another folder",
        lambda now: replace(now, root="elsewhere/a-much.longer_path/of+work", tree_copied=True),
    ),
    Variation("home", "HOME", lambda now: now.with_variables(HOME="/nonexistent/home")),
    Variation("user", "number of the user", lambda now: replace(now, user=12345)),
    Variation("group", "number of the group", lambda now: replace(now, group=23456)),
    Variation("umask", "umask 0077", lambda now: replace(now, umask=0o077)),
    Variation(
        "locale",
        "LC_ALL, LANG and LANGUAGE",
        lambda now: now.with_variables(LC_ALL="POSIX", LANG="tr_TR.UTF-8", LANGUAGE="tr:de"),
    ),
    Variation("time_zone", "14 hours ahead", lambda now: now.with_variables(TZ="<+14>-14")),
    Variation("clock", "a year ahead", lambda now: replace(now, clock_shift=YEAR_SECONDS)),
    Variation(
        "source_date",
        "no SOURCE_DATE_EPOCH: the day of the build",
        lambda now: replace(
            now,
            environment={
                name: value
                for name, value in now.environment.items()
                if name != "SOURCE_DATE_EPOCH"
            },
        ),
    ),
    Variation("hostname", "name of the machine", lambda now: replace(now, hostname="elsewhere")),
    Variation("cores", "one processor", lambda now: replace(now, cpus=1)),
    Variation("environment", "noise", lambda now: now.with_variables(**_NOISE)),
    Variation(
        "file_order",
        "files made, and listed, in the opposite order",
        lambda now: replace(now, reversed_order=True, in_memory=True, tree_copied=True),
    ),
    Variation("shell", "bash in the place of sh", lambda now: replace(now, make_shell="/bin/bash")),
    Variation("mtimes", "of the inputs", lambda now: replace(now, mtime=1_234_567_890)),
    Variation(
        "file_system",
        "tmpfs instead of the disk",
        lambda now: replace(now, in_memory=True, tree_copied=True),
    ),
    Variation(
        "aslr",
        "addresses that are not drawn by chance",
        lambda now: replace(now, arch_options=(*now.arch_options, "--addr-no-randomize")),
    ),
    Variation(
        "kernel",
        "version that the kernel tells",
        lambda now: replace(now, arch_options=(*now.arch_options, "--uname-2.6")),
    ),
)


def find_variations(names: str) -> tuple[Variation, ...]:
    """Return the variations named with commas between them; all of them when empty.

    Raises:
        UsageError: there is none of a name.
    """
    known = {variation.name: variation for variation in VARIATIONS}
    chosen = [name for name in names.split(",") if name] or list(known)
    for name in chosen:
        if name not in known:
            raise UsageError(
                f"there is no variation '{name}'", next_step=f"choose of: {', '.join(known)}"
            )
    return tuple(known[name] for name in dict.fromkeys(chosen))


def packed(variations: Sequence[Variation], size: int) -> tuple[tuple[Variation, ...], ...]:
    """Return the variations by the builds in which they are tried, ``size`` in each.

    Args:
        variations: to try.
        size: at least 1.
    """
    return tuple(
        tuple(variations[start : start + size]) for start in range(0, len(variations), size)
    )


def varied(conditions: Conditions, variations: Iterable[Variation]) -> Conditions:
    """Return the conditions with all the variations at once."""
    for variation in variations:
        conditions = variation.change(conditions)
    return conditions


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))
