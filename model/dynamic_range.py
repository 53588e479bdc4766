"""Converts in dynamic range: ``python -m model.dynamic_range --keras F --out FOLDER``.

Writes ``<name>_dynamic.tflite``, for the report only: no firmware is made from it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.conversion import convert_dynamic_range, load_network
from model.errors import exit_code_of
from model.files import write_file
from model.runtime import deterministic_tensorflow


def convert(keras: Path, name: str, out: Path) -> None:
    """Convert, write the file and report."""
    deterministic_tensorflow()
    tflite = convert_dynamic_range(load_network(keras))
    write_file(out / f"{name}_dynamic.tflite", tflite)
    print(f"{name}_dynamic.tflite {len(tflite)} bytes")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="model.dynamic_range", description=convert.__doc__)
    parser.add_argument("--keras", type=Path, required=True)
    parser.add_argument("--name", help="of the file; else the .keras file's own")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    return exit_code_of(lambda: convert(given.keras, given.name or given.keras.stem, given.out))


if __name__ == "__main__":
    sys.exit(main())
