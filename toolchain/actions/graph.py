"""The order of steps that need each other's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from toolchain.actions.model import OutputOf, Step, StepGraphError


def order(steps: Sequence[Step]) -> TopologicalSorter[str]:
    """Return a sorter over the names of ``steps``, not yet prepared.

    Raises:
        StepGraphError: a name stands twice, an input names a step or an output that is not there,
            or steps wait for each other.
    """
    by_name = {step.name: step for step in steps}
    if len(by_name) != len(steps):
        names = [step.name for step in steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise StepGraphError(f"two steps have the same name: {', '.join(twice)}")
    graph: dict[str, list[str]] = {}
    for step in steps:
        graph[step.name] = sorted({source.step for source in references(step)})
        for source in references(step):
            if source.step not in by_name:
                raise StepGraphError(f"step '{step.name}' needs '{source.step}', which is no step")
            if source.path not in by_name[source.step].outputs:
                raise StepGraphError(
                    f"step '{step.name}' needs {source.path} of '{source.step}', which has no such "
                    "output"
                )
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise StepGraphError(f"steps wait for each other: {' <- '.join(error.args[1])}") from error
    return TopologicalSorter(graph)


def references(step: Step) -> list[OutputOf]:
    """Return the inputs of a step that are outputs of others."""
    return [source for source in step.inputs.values() if isinstance(source, OutputOf)]
