"""Writes what a model must compute of its cases.

``python -m model.case_references --tflite F --name N --cases F --judged F --judge TEXT
--out FOLDER`` writes ``reference.json`` and ``model_cases.cc``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.case_reference import (
    case_reference_text,
    cases_source,
    differing_cases,
    make_case_reference,
)
from model.errors import exit_code_of
from model.files import write_file


def write_case_reference(given: argparse.Namespace) -> None:
    """Ask the other interpreters, write all outputs and report."""
    inputs, outputs = given.cases.read_bytes(), given.judged.read_bytes()
    reference = make_case_reference(given.tflite.read_bytes(), inputs, outputs)
    count = reference.inputs.count
    text = case_reference_text(given.name, reference, given.judge)
    write_file(given.out / "reference.json", text)
    write_file(given.out / "model_cases.cc", cases_source(inputs, outputs, count))
    for interpreter, opinion in reference.opinions.items():
        if opinion.outputs is None:
            print(f"{interpreter} does not run the model: {opinion.refusal}")
        else:
            unequal = differing_cases(reference.judged, opinion.outputs)
            print(f"{interpreter} computes other outputs in {unequal} of {count} cases")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="model.case_references", description=write_case_reference.__doc__
    )
    for option in ("tflite", "cases", "judged", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--judge", required=True, help="name and version of what judged")
    given = parser.parse_args(arguments)
    return exit_code_of(lambda: write_case_reference(given))


if __name__ == "__main__":
    sys.exit(main())
