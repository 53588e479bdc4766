"""``python -m benchmarks.matrix``: 12 models on 3 boards through a service with 1 and 2 workers.

Each time service and client begin with nothing known. Then once more with everything known to the
service, and nothing to the client; and by this machine alone, without a service. Run it with the
Python of ``.venv`` on a machine that does nothing else; the images must be there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.containers.remote_support import free_port
from tests.unit.matrix_support import dense_models
from toolchain.files import remove_tree
from toolchain.layout import CACHE_VARIABLE, project_layout
from toolchain.render.basics import table

PROJECT = project_layout().project


@dataclass(frozen=True)
class Run:
    """A run of the matrix.

    Attributes:
        seconds: wall-clock time of the command.
        stored_bytes: blobs in the client's cache afterwards: what went to or came from the service.
    """

    name: str
    seconds: float
    rows: int
    verified: int
    executed: int
    cached: int
    stored_bytes: int


def invoke(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a task with a cache of its own."""
    return subprocess.run(
        [str(PROJECT / "invoke"), *arguments],
        env={**os.environ, CACHE_VARIABLE: str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )


def timed(name: str, cache: Path, matrix: Path, *options: str) -> Run:
    """Work through the matrix with an empty cache."""
    if cache.exists():
        remove_tree(cache)
    started = time.monotonic()
    done = invoke(cache, "matrix", str(matrix), "--again", "--json", *options)
    seconds = time.monotonic() - started
    found = json.loads(done.stdout)
    blobs = [path for path in (cache / "cas").rglob("*") if path.is_file()]
    return Run(
        name,
        seconds,
        len(found["rows"]),
        sum(row["verified"] for row in found["rows"]),
        found["executed"],
        found["cached"],
        sum(path.stat().st_size for path in blobs),
    )


def runs(folder: Path, models: int) -> list[Run]:
    """Return all runs, in the order in which they were made."""
    paths = dense_models(folder / "models", models)
    matrix = folder / "models" / "benchmark.toml"
    matrix.write_text("".join(f'[[model]]\npath = "{path.name}"\n' for path in paths))
    found = []
    for workers in (1, 2):
        service, port = folder / f"service{workers}", free_port()
        invoke(service, "remote", "up", "--port", str(port), "--workers", str(workers))
        try:
            where = ("--remote-executor", f"grpc://127.0.0.1:{port}")
            cache = folder / "client"
            found.append(timed(f"{workers} worker(s), nothing known", cache, matrix, *where))
            if workers == 2:
                found.append(timed("all known to the service", cache, matrix, *where))
        finally:
            invoke(service, "remote", "down", "--delete")
    found.append(timed("without a service", folder / "alone", matrix))
    return found


def main() -> int:
    """Print the table, and as JSON with ``--json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matrix", description=__doc__)
    parser.add_argument("--models", type=int, default=12)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tinyml-matrix-", ignore_cleanup_errors=True) as name:
        found = runs(Path(name), given.models)
    if given.json:
        print(json.dumps([run.__dict__ for run in found], indent=1))
        return 0
    rows = [
        (
            run.name,
            f"{run.seconds:.1f}",
            f"{run.verified} of {run.rows}",
            str(run.executed),
            str(run.cached),
            f"{run.seconds / max(run.executed + run.cached, 1) * 1000:.0f}",
            f"{run.stored_bytes / 1e6:.1f}",
        )
        for run in found
    ]
    heads = ("run", "s", "verified", "executed", "known", "ms a step", "MB")
    print(table(heads, rows, frozenset({1, 3, 4, 5, 6})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
