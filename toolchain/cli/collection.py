"""All tasks of the command line."""

from __future__ import annotations

from invoke.collection import Collection

from toolchain.cli import (
    firmware_tasks,
    project_tasks,
    release_tasks,
    service_tasks,
    storage_tasks,
    training_tasks,
)
from toolchain.cli.task import TaskOfGroups

_MODULES = (
    firmware_tasks,
    project_tasks,
    release_tasks,
    service_tasks,
    storage_tasks,
    training_tasks,
)


def collection() -> Collection:
    """Return the tasks that the modules above declare, as Invoke looks for them."""
    found = Collection()
    for module in _MODULES:
        for value in vars(module).values():
            if isinstance(value, TaskOfGroups):
                found.add_task(value)
    return found
