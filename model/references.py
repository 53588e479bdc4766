"""Computes the outputs that the firmware must reproduce.

``python -m model.references --tflite F --name N --out FOLDER`` writes ``reference.json``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from model.errors import exit_code_of
from model.files import write_file
from model.reference import judge, make_reference, reference_text


def write_reference(tflite: Path, name: str, out: Path) -> None:
    """Run the model on the host, write the outputs and report."""
    reference = make_reference(tflite.read_bytes())
    write_file(out / "reference.json", reference_text(name, reference, judge()))
    unequal = int(np.count_nonzero(reference.tflm != reference.litert))
    print(
        f"{name}: {len(reference.inputs)} inputs, largest error against sin x "
        f"{reference.largest_sine_error(reference.tflm):.4f} "
        f"(LiteRT {reference.largest_sine_error(reference.litert):.4f}, "
        f"different in {unequal} outputs)"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="model.references", description=write_reference.__doc__)
    parser.add_argument("--tflite", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    return exit_code_of(lambda: write_reference(given.tflite, given.name, given.out))


if __name__ == "__main__":
    sys.exit(main())
