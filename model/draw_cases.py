"""Makes the inputs on which a model is verified.

``python -m model.draw_cases --tflite F [--inputs F] --out FOLDER`` writes ``cases.bin`` and
``inputs.npz``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.cases import given_cases, model_inputs, random_cases
from model.errors import exit_code_of
from model.files import write_file
from model.graph import read_graph
from model.support import require_support

DEFAULT_SEED = 1


def draw_cases(tflite: Path, inputs: Path | None, seed: int, out: Path) -> None:
    """Check the model, take or draw its inputs, write them and report.

    Args:
        tflite: the model.
        inputs: ``.npy`` or ``.npz`` with a case in each row; None to draw them.
        seed: that they are drawn from, 0 or more.
        out: folder that gets ``cases.bin`` and ``inputs.npz``.

    Raises:
        UnsupportedModelError: the pinned tree cannot compute the model, or the inputs are not its.
    """
    graph = read_graph(tflite.read_bytes())
    require_support(graph)
    cases = given_cases(graph, inputs) if inputs else random_cases(graph, seed)
    write_file(out / "cases.bin", cases.as_bytes())
    names = [str(number) for number in range(len(graph.inputs))]
    write_file(out / "inputs.npz", cases.as_npz(names))
    described = ", ".join(f"{each.type}{list(each.shape)}" for each in model_inputs(graph))
    print(f"{cases.count} cases of {described}, {'given' if inputs else f'drawn by seed {seed}'}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="model.draw_cases", description=draw_cases.__doc__)
    parser.add_argument("--tflite", type=Path, required=True)
    parser.add_argument("--inputs", type=Path, help=".npy or .npz; drawn when not given")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    return exit_code_of(lambda: draw_cases(given.tflite, given.inputs, given.seed, given.out))


if __name__ == "__main__":
    sys.exit(main())
