"""Writes the report of the story: ``python -m model.write_report --data F ... --out FOLDER``.

Writes ``report.html``. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
from pathlib import Path

from model.comparison import read_comparison
from model.data import load_data
from model.errors import exit_code_of
from model.files import write_file
from model.history import TrainingRecord, read_history
from model.report import Story, report_text

PACKAGES = ("tensorflow-cpu", "keras", "numpy", "matplotlib", "tflite-micro", "ai-edge-litert")
"""Packages of the image whose versions the report states."""


def pins_used(further: list[str]) -> list[tuple[str, str]]:
    """Return name and version of Python, of ``PACKAGES``, and of each ``NAME=VERSION``."""
    return [
        ("Python", platform.python_version()),
        *((package, importlib.metadata.version(package)) for package in PACKAGES),
        *((name, version) for name, _, version in (item.partition("=") for item in further)),
    ]


def write_report(given: argparse.Namespace) -> None:
    """Write the page and report."""

    def history(path: Path) -> TrainingRecord:
        return read_history(path.read_text(encoding="utf-8"))

    models = {name: getattr(given, name).read_bytes() for name in ("float", "dynamic", "int8")}
    described = [json.loads(path.read_text(encoding="utf-8")) for path in given.model_json]
    story = Story(
        data=load_data(given.data),
        model_1=history(given.history_1),
        model_2=history(given.history_2),
        comparison=read_comparison(given.comparison.read_text(encoding="utf-8")),
        models=models,
        arenas={model["name"]: model["arena_bytes"] for model in described},
        plots={path.stem: path.read_bytes() for path in sorted(given.plots.glob("*.png"))},
        pins=pins_used(given.pinned),
    )
    text = report_text(story)
    write_file(given.out / "report.html", text)
    print(f"report.html {len(text.encode()):,} bytes")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="model.write_report", description=write_report.__doc__)
    for option in ("data", "history-1", "history-2", "comparison", "float", "dynamic", "int8"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--plots", type=Path, required=True, help="folder with the PNG files")
    parser.add_argument("--model-json", type=Path, action="append", default=[])
    parser.add_argument("--pinned", action="append", default=[], metavar="NAME=VERSION")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    return exit_code_of(lambda: write_report(given))


if __name__ == "__main__":
    sys.exit(main())
