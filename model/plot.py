"""Draws the plots of the story: ``python -m model.plot --data F ... --out FOLDER``.

Writes one PNG file for each plot. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from model import plots
from model.comparison import read_comparison
from model.data import load_data
from model.errors import exit_code_of
from model.files import write_file
from model.history import read_history
from model.sizes import file_parts


def draw(inputs: argparse.Namespace) -> dict[str, Any]:
    """Return every figure by the name of its file, in the order of the story."""
    data = load_data(inputs.data)
    comparison = read_comparison(inputs.comparison.read_text(encoding="utf-8"))
    figures = {"data": plots.data_figure(data), "splits": plots.splits_figure(data)}
    actual = (comparison.x_test, comparison.y_test)
    for name, path in (("model_1", inputs.history_1), ("model_2", inputs.history_2)):
        record = read_history(path.read_text(encoding="utf-8"))
        predicted = comparison.find(name, "keras", "Keras").test
        figures |= {
            f"{name}_loss": plots.loss_figure(record, name),
            f"{name}_loss_later": plots.loss_figure(record, name, skip=plots.SKIPPED_EPOCHS),
            f"{name}_mae": plots.mae_figure(record, name),
            f"{name}_predictions": plots.predictions_figure(actual, predicted, name),
        }
    parts = {
        "float": file_parts(inputs.float.read_bytes()),
        "dynamic range": file_parts(inputs.dynamic.read_bytes()),
        "int8": file_parts(inputs.int8.read_bytes()),
    }
    figures["conversions"] = plots.conversions_figure(comparison)
    figures["sizes"] = plots.sizes_figure(parts)
    return figures


def write_plots(inputs: argparse.Namespace) -> None:
    """Draw, write the files and report."""
    figures = draw(inputs)
    for name, figure in figures.items():
        write_file(inputs.out / f"{name}.png", plots.png_bytes(figure))
    print(f"{len(figures)} plots")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="model.plot", description=write_plots.__doc__)
    for option in ("data", "history-1", "history-2", "comparison", "float", "dynamic", "int8"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    return exit_code_of(lambda: write_plots(given))


if __name__ == "__main__":
    sys.exit(main())
