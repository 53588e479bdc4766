"""Checks a model and writes it as C++: ``python -m model.embed --tflite F --name N --out FOLDER``.

Writes ``model_data.cc``, ``model_data.h``, ``model_operators.cc``, ``model_operators.h`` and
``model.json``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.embedding import check_model, embedded_files
from model.errors import exit_code_of
from model.files import write_file


def embed(tflite: Path, name: str, out: Path, arena_bytes: int | None) -> None:
    """Check the model, write its files and report."""
    model = check_model(name, tflite.read_bytes(), arena_bytes)
    for file, text in embedded_files(model).items():
        write_file(out / file, text)
    operators = ", ".join(
        f"{operator} version {version}" for operator, version in model.graph.operator_versions()
    )
    print(f"{name}: {len(model.tflite)} bytes, arena {model.arena_bytes} bytes, {operators}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="model.embed", description=embed.__doc__)
    parser.add_argument("--tflite", type=Path, required=True)
    parser.add_argument("--name", required=True, help="a C identifier")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arena", type=int, help="bytes of the tensor arena; else estimated")
    given = parser.parse_args(arguments)
    return exit_code_of(lambda: embed(given.tflite, given.name, given.out, given.arena))


if __name__ == "__main__":
    sys.exit(main())
