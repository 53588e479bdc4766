"""Compares networks and conversions: ``python -m model.compare --model-1 F ... --out FOLDER``.

Writes ``comparison.json``. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.comparison import Form, compare, comparison_text, keras_predictor
from model.conversion import load_network
from model.data import load_data
from model.errors import exit_code_of
from model.files import write_file
from model.runtime import deterministic_tensorflow


def write_comparison(
    networks: dict[str, Path], models: dict[Form, Path], data: Path, out: Path
) -> None:
    """Compare, write the result and report."""
    deterministic_tensorflow()
    samples = load_data(data)
    comparison = compare(
        {name: keras_predictor(load_network(path)) for name, path in networks.items()},
        {form: path.read_bytes() for form, path in models.items()},
        (samples.x_test, samples.y_test),
    )
    write_file(out / "comparison.json", comparison_text(comparison))
    different = len(comparison.int8.differences())
    for outcome in comparison.outcomes:
        figures = comparison.test_errors(outcome)
        print(
            f"{outcome.network} {outcome.form} on {outcome.runtime}: test mse {figures.mse:.4f}, "
            f"mae {figures.mae:.4f}, from Keras at most "
            f"{comparison.distance_from_keras(outcome):.2g}"
        )
    print(f"int8 outputs of TFLM and LiteRT differ for {different} of 256 inputs")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="model.compare", description=write_comparison.__doc__)
    for option in ("model-1", "model-2", "float", "dynamic", "int8", "data"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    networks = {"model_1": given.model_1, "model_2": given.model_2}
    models: dict[Form, Path] = {
        "float": given.float,
        "dynamic": given.dynamic,
        "int8": given.int8,
    }
    return exit_code_of(lambda: write_comparison(networks, models, given.data, given.out))


if __name__ == "__main__":
    sys.exit(main())
