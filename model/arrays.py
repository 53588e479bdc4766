"""Reads the arrays that a user gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import UnusableDataError

Array = npt.NDArray[Any]


def read_arrays(path: Path, inputs: Sequence[str]) -> list[Array]:
    """Return an array for each input of a model.

    Args:
        path: ``.npy`` for a model with one input, else ``.npz`` with an array for each input, which
            is called by the input's name, by its number, or ``arr_<number>`` as numpy does.
        inputs: their names, in the model's order.

    Raises:
        UnusableDataError: it cannot be read, or an array is missing.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            named = {"0": loaded}
        else:
            with loaded:
                named = {name: loaded[name] for name in loaded.files}
    except Exception as error:  # a damaged file trips zip, zlib and the header's parser anywhere
        raise UnusableDataError(
            f"{path.name} cannot be read as arrays",
            why=str(error) or type(error).__name__,
            next_step="write it with numpy.save(path, array) or numpy.savez(path, **arrays)",
        ) from error
    # numpy gives a member of an archive that is no array as its bytes.
    named = {name: array for name, array in named.items() if isinstance(array, np.ndarray)}
    arrays = []
    for number, name in enumerate(inputs):
        found = [named[key] for key in (name, str(number), f"arr_{number}") if key in named]
        if not found:
            raise UnusableDataError(
                f"{path.name} has no array for the model's input {number}, {name}",
                why=f"it holds {', '.join(sorted(named)) or 'nothing'}",
                next_step="name each array as its input is called, or by the input's number",
            )
        arrays.append(found[0])
    return arrays


def as_float32(array: Array) -> npt.NDArray[np.float32]:
    """Return numbers in single precision; one that is beyond it becomes infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)
