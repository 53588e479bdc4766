"""Orchestration library of the TinyML toolchain; imports neither TensorFlow nor board code.

``build``, ``simulate``, ``verify`` and ``size`` are what the commands do, for programs: see
``toolchain.api``, which is imported when one of them is used.
"""

import importlib
from typing import Any

__all__ = ["build", "simulate", "size", "verify"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("toolchain.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
