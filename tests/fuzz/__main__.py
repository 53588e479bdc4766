"""``python -m tests.fuzz --count 100000 --seed 1``: a long fuzz run of the verifier.

Needs the packages of ``requirements-test.lock`` and a Docker Engine, as ``./invoke test`` does.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from tests.fuzz import COUNT_VARIABLE, FIRST_VARIABLE, KEEP_VARIABLE, SEED_VARIABLE

TEST = Path(__file__).parents[1] / "containers" / "test_model_fuzz.py"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many mutants")
    parser.add_argument("--seed", type=int, default=1, help="of all choices")
    parser.add_argument("--first", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="for what failed")
    given = parser.parse_args()
    os.environ |= {
        COUNT_VARIABLE: str(given.count),
        SEED_VARIABLE: str(given.seed),
        FIRST_VARIABLE: str(given.first),
        KEEP_VARIABLE: str(given.keep.absolute()),
    }
    return int(pytest.main(["-q", "-s", str(TEST), "-k", "nothing_gets_past"]))


if __name__ == "__main__":
    sys.exit(main())
