"""Converts a trained network: ``python -m model.convert --keras F --data F --out FOLDER``.

Writes ``<name>_float.tflite`` and ``<name>_int8.tflite``. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.conversion import convert_float, convert_int8, load_network
from model.data import load_data
from model.errors import exit_code_of
from model.files import write_file
from model.graph import read_graph
from model.runtime import deterministic_tensorflow
from model.support import require_support


def convert(keras: Path, data: Path, name: str, out: Path) -> None:
    """Convert, check that the pinned tree can compute the results, write them and report."""
    deterministic_tensorflow()
    network = load_network(keras)
    models = {
        f"{name}_float": convert_float(network),
        f"{name}_int8": convert_int8(network, [load_data(data).x_train.reshape(-1, 1)]),
    }
    for tflite in models.values():
        require_support(read_graph(tflite))
    for file, tflite in models.items():
        write_file(out / f"{file}.tflite", tflite)
    print(", ".join(f"{file}.tflite {len(tflite)} bytes" for file, tflite in models.items()))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="model.convert", description=convert.__doc__)
    parser.add_argument("--keras", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="data.npz of the training")
    parser.add_argument("--name", help="of the files; else the .keras file's own")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    name = given.name or given.keras.stem
    return exit_code_of(lambda: convert(given.keras, given.data, name, given.out))


if __name__ == "__main__":
    sys.exit(main())
