"""``python -m benchmarks.remote_calls``: the cost of one known and one executed action, and bytes.

The actions do next to nothing, so that what is left is the cost of everything around them. Run it
with the Python of ``.venv`` on a machine that does nothing else; the images must be there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.containers.remote_support import Started, client, invoke, shell, started, worker
from toolchain.images import image_name, project_pins
from toolchain.layout import project_layout
from toolchain.render.basics import table


def measured(times: int, make: Callable[[int], Callable[[], None]]) -> list[float]:
    """Return how long each of ``times`` calls took, in milliseconds, sorted."""
    found = []
    for number in range(times):
        call = make(number)
        started_at = time.perf_counter()
        call()
        found.append((time.perf_counter() - started_at) * 1000)
    return sorted(found)


def actions(folder: Path, service: Started, times: int) -> list[tuple[str, list[float]]]:
    """Measure executed actions, and the same ones known, each by a client that knows nothing."""
    image = image_name("cross", project_pins(project_layout()), project_layout())

    def run(name: str) -> Callable[[int], Callable[[], None]]:
        def make(number: int) -> Callable[[], None]:
            step = shell(f"nothing {number}", image, "cat /project/input > /out/out")

            def call() -> None:
                with client(folder / f"{name}-{number}", service) as runner:
                    runner.run([step])

            return call

        return make

    return [
        ("executed, one after the other", measured(times, run("executed"))),
        ("known, by another client", measured(times, run("known"))),
    ]


def build_bytes(folder: Path, service: Started) -> int:
    """Return the bytes of the blobs that a client without anything has after a known build."""
    options = (
        *("build", "--target", "sparkfun_edge", "--quiet"),
        *("--remote-executor", str(service.endpoint)),
        *("--remote-token-file", str(service.credentials("client").token_file)),
    )
    for name in ("first", "second"):
        done = invoke(folder / name, *options)
        if done.returncode:
            raise RuntimeError(done.stderr)
    blobs = (folder / "second" / "cas").rglob("*")
    return sum(path.stat().st_size for path in blobs if path.is_file())


def main() -> int:
    """Print medians and the bytes of a board's build."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.remote_calls", description=__doc__)
    parser.add_argument("--times", type=int, default=30)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tinyml-calls-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with (
            started(folder / "service", "--tokens") as service,
            worker(folder / "worker", service, "measured", slots=2) as running,
        ):
            running.wait_for("working for")
            rows = [
                (what, *(f"{values[int(len(values) * part)]:.0f}" for part in (0.1, 0.5, 0.9)))
                for what, values in actions(folder, service, given.times)
            ]
            moved = build_bytes(folder, service)
    print(table(("action", "ms 10 %", "ms median", "ms 90 %"), rows, frozenset({1, 2, 3})))
    print(f"\na known build of one board brings {moved / 1e6:.1f} MB to an empty client")
    return 0


if __name__ == "__main__":
    sys.exit(main())
