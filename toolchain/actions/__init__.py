"""Hermetic build steps: content-addressed store, action cache, sandboxed execution, step graph.

Importing this package loads neither the Docker SDK nor pydantic: a build with nothing to do must
not wait for them.
"""

from toolchain.actions.executor import Executor, SharedCache
from toolchain.actions.lock import project_lock
from toolchain.actions.model import (
    SOURCE_DATE_EPOCH,
    Maker,
    OutputOf,
    PlannedStep,
    RunRecord,
    Step,
    StepGraphError,
    StepResult,
)
from toolchain.actions.publication import publish
from toolchain.actions.runner import Runner
from toolchain.actions.store import Store

__all__ = [
    "SOURCE_DATE_EPOCH",
    "Executor",
    "Maker",
    "OutputOf",
    "PlannedStep",
    "RunRecord",
    "Runner",
    "SharedCache",
    "Step",
    "StepGraphError",
    "StepResult",
    "Store",
    "project_lock",
    "publish",
]
