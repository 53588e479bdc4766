"""Makes a notebook from its source, in the notebook image: ``pair.py SOURCE NOTEBOOK``.

The same source gives the same bytes: cells are named by their place, where jupytext draws lots.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jupytext


def pair(source: Path, notebook: Path) -> None:
    """Write ``notebook`` with the cells of ``source`` and without outputs."""
    content = jupytext.read(source)
    for place, cell in enumerate(content.cells, start=1):
        cell["id"] = f"cell-{place:02}"
    text = jupytext.writes(content, fmt="ipynb")
    notebook.write_text(
        json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    pair(Path(sys.argv[1]), Path(sys.argv[2]))
