"""The steps that build the pinned tree for the machine itself, and run a model with it.

```
host library -> host runner -> judge
```

The judge computes what a firmware has to compute: the same interpreter and the same kernels as on
the board, compiled for another processor, with the functions of float of the board's C library.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from toolchain.actions import OutputOf, Step
from toolchain.actions.model import Input
from toolchain.layout import Layout
from toolchain.pipeline.make import MAKE, TREE

HOST_LIBRARY = PurePosixPath("lib/libtensorflow-microlite.a")
HOST_RUNNER = PurePosixPath("bin/run_model")
JUDGED = PurePosixPath("judged.bin")

_ARCHITECTURE = "native"
# Without the checks of debug builds, as boards run: some of them fail for models that are computed
# rightly (ADD and SUB of INT8 with the zero point -128, MUL of a row by a vector).
_BUILD_TYPE = "release_with_logs"
# An output of a step that is another one's input has lost that it can be run.
_RUN = 'install -m 0755 "$0" /tmp/run_model; exec /tmp/run_model "$@"'


def host_library_name(*, sanitized: bool = False) -> str:
    """Return the name of the step that compiles the library."""
    return f"host library{_suffix(sanitized)}"


def host_runner_name(*, sanitized: bool = False) -> str:
    """Return the name of the step that links ``run_model``."""
    return f"host runner{_suffix(sanitized)}"


def host_library(layout: Layout, image: str, *, sanitized: bool = False) -> Step:
    """Compile the runtime and its kernels for the machine itself: ``HOST_LIBRARY``.

    Args:
        layout: the checkout.
        image: content name of the image ``host``.
        sanitized: stop at a wrong address and at undefined behaviour.
    """
    return Step(
        name=host_library_name(sanitized=sanitized),
        image=image,
        arguments=_make("microlite", sanitized),
        inputs={PurePosixPath("tflm/Makefile"): layout.project / "tflm/Makefile"},
        outputs=(HOST_LIBRARY,),
        working_directory=TREE,
    )


def host_runner(layout: Layout, image: str, *, sanitized: bool = False) -> Step:
    """Compile and link ``run_model`` with the library of ``host_library``: ``HOST_RUNNER``.

    Without ``sanitized`` it has the C library in it and runs in any image.

    Args:
        layout: the checkout.
        image: content name of the image ``host``.
        sanitized: as of the library.
    """
    folder = PurePosixPath("lib", f"{_ARCHITECTURE}_{_BUILD_TYPE}{'_sanitized' * sanitized}")
    sources = sorted((layout.project / "tflm/host").glob("*.[ch]*"))
    return Step(
        name=host_runner_name(sanitized=sanitized),
        image=image,
        arguments=_make("host_runner", sanitized),
        inputs={
            PurePosixPath("tflm/Makefile"): layout.project / "tflm/Makefile",
            **{PurePosixPath("tflm/host", path.name): path for path in sources},
            folder / HOST_LIBRARY.name: OutputOf(
                host_library_name(sanitized=sanitized), HOST_LIBRARY
            ),
        },
        outputs=(HOST_RUNNER,),
        working_directory=TREE,
    )


def judge(
    name: str,
    image: str,
    tflite: Input,
    cases: Input,
    *,
    sanitized: bool = False,
    arena_bytes: int | None = None,
) -> Step:
    """Run a model on cases, one after the other in one interpreter: ``JUDGED``.

    Needs the steps of ``host_library`` and ``host_runner`` in its graph.

    Args:
        name: of the step.
        image: content name of the image ``host``; without ``sanitized``, of any image.
        tflite: the model.
        cases: each case the bytes of all inputs, in the model's order; the outputs come likewise.
        sanitized: with the runner that stops at a wrong address and at undefined behaviour.
        arena_bytes: of the interpreter, whose pointers take twice as much as on a board; None for
            more than any board has.
    """
    arena = () if arena_bytes is None else ("--arena", str(arena_bytes))
    return Step(
        name=name,
        image=image,
        arguments=(
            *("sh", "-euc", _RUN, HOST_RUNNER.name),
            *("model.tflite", "cases.bin", f"/out/{JUDGED}", *arena),
        ),
        inputs={
            PurePosixPath(HOST_RUNNER.name): OutputOf(
                host_runner_name(sanitized=sanitized), HOST_RUNNER
            ),
            PurePosixPath("model.tflite"): tflite,
            PurePosixPath("cases.bin"): cases,
        },
        outputs=(JUDGED,),
    )


def _suffix(sanitized: bool) -> str:
    return " sanitized" if sanitized else ""


def _make(goal: str, sanitized: bool) -> tuple[str, ...]:
    settings = (f"TARGET_ARCH={_ARCHITECTURE}", f"BUILD_TYPE={_BUILD_TYPE}")
    return (*MAKE, *settings, f"SANITIZE={int(sanitized)}", "GENDIR=/out", goal)
