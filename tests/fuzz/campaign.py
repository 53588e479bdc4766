"""Gives mutants to the verifier, and those that it accepts to the sanitized interpreter."""

from __future__ import annotations

import math
import struct
import subprocess
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from model.arena import estimate_arena
from model.errors import UnsupportedModelError
from model.graph import Graph, read_graph
from model.kernels import KERNELS
from model.limits import require_arena
from model.node import Node
from model.support import require_support
from tests.fuzz.generation import generated
from tests.fuzz.mutation import Anatomy, anatomy, mutant

LARGEST_ARENA = 1 << 20
"""What is run needs no more, in bytes on a 32-bit processor; no board has as much."""

LARGEST_WORK = 10_000_000
"""What is run multiplies or moves no more numbers."""

KNOWN: Mapping[str, str] = {
    "tensorflow/lite/kernels/internal/reference/quantize.h:41": (
        "QUANTIZE of a float that is 2**31 steps or more away from zero: the conversion to an "
        "integer is undefined, and what comes out of it on x86-64 overflows when the zero point "
        "is added. That is for whoever gives the input; every model with QUANTIZE does it."
    ),
}
"""Places in the pinned tree whose undefined behaviour depends on the input and not on the model."""

_GENERATED = 0.35
_UNCHANGED = 0.4
"""Shares of mutants that are made from a generated model, and of those that stay as they are."""

Runner = Callable[[Sequence[bytes]], list[str]]
"""Runs models; returns a line for each: ``ok``, ``refused``, ``faulty`` or ``crashed``, and more
words."""


@dataclass(frozen=True)
class Failure:
    """A mutant that got past the verifier, or on which the verifier itself failed."""

    number: int
    data: bytes
    line: str


@dataclass
class Findings:
    """What came out of a campaign.

    Attributes:
        mutants: how many there were.
        refused: how many the verifier refused, by the check that did.
        accepted: how many it accepted.
        too_large: of these, how many no board has memory or time for; they were not run.
        ran: of these, how many ran.
        refused_later: of these, how many the interpreter refused, by what it said.
        known: of these, how many came to a place of ``KNOWN``, by the place.
        failures: mutants that crashed one or the other, or computed something undefined.
        slowest: the longest that the verifier took for a mutant, in seconds, and its number.
    """

    mutants: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    too_large: int = 0
    ran: int = 0
    refused_later: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, -1)


def run_campaign(
    models: Mapping[str, bytes],
    seed: int,
    numbers: Iterable[int],
    runner: Runner,
    batch: int = 500,
) -> Findings:
    """Check and run the mutants of these numbers.

    Args:
        models: sound models that the mutants are made from.
        seed: of all choices.
        numbers: of the mutants.
        runner: runs models.
        batch: how many models it is given at once.
    """
    findings = Findings()
    seeds = [anatomy(models[name]) for name in sorted(models)]
    waiting: list[tuple[int, bytes]] = []
    for number in numbers:
        data = candidate(seeds, seed, number)
        if _judge(number, data, findings):
            waiting.append((number, data))
        if len(waiting) >= batch:
            _run(waiting, runner, findings)
            waiting.clear()
    if waiting:
        _run(waiting, runner, findings)
    return findings


def candidate(seeds: Sequence[Anatomy], seed: int, number: int) -> bytes:
    """Return the mutant of a number."""
    random = Random(f"{seed} {number}")
    if random.random() >= _GENERATED:
        return mutant(random.choice(seeds), random)
    made = generated(random)
    return made if random.random() < _UNCHANGED else mutant(anatomy(made), random)


def _judge(number: int, data: bytes, findings: Findings) -> bool:
    """Return whether the verifier accepts a mutant that is small enough to run."""
    findings.mutants += 1
    start = time.perf_counter()
    try:
        graph = read_graph(data)
        require_support(graph)
        arena = estimate_arena(graph)
        require_arena(arena)
    except UnsupportedModelError as error:
        findings.refused[_check_of(error)] += 1
        return False
    except Exception as error:
        findings.failures.append(Failure(number, data, f"the verifier raised {error!r}"))
        return False
    finally:
        findings.slowest = max(findings.slowest, (time.perf_counter() - start, number))
    findings.accepted += 1
    if arena > LARGEST_ARENA or work_of(graph) > LARGEST_WORK:
        findings.too_large += 1
        return False
    return True


def _check_of(error: UnsupportedModelError) -> str:
    """Return the function that refused, without those that only word it."""
    cause = error.__cause__ or error
    frames = [
        (Path(frame.filename).stem, frame.name)
        for frame in traceback.extract_tb(cause.__traceback__)
    ]
    chosen = next(each for each in reversed(frames) if each[0] not in {"node", "campaign"})
    return ".".join(chosen)


def work_of(graph: Graph) -> int:
    """Return about how many numbers an inference multiplies or moves."""
    return sum(
        _work(Node.of(graph, operator, KERNELS[operator.name])) for operator in graph.operators
    )


def _work(node: Node) -> int:
    each = 1
    if node.name == "CONV_2D":
        each = math.prod(node.inputs[1].shape[1:])
    elif node.name == "DEPTHWISE_CONV_2D":
        each = math.prod(node.inputs[1].shape[1:3])
    elif node.name in {"AVERAGE_POOL_2D", "MAX_POOL_2D"}:
        height, width = node.inputs[0].shape[1:3]
        each = min(height, node.option("filter_height")) * min(width, node.option("filter_width"))
    elif node.name == "FULLY_CONNECTED":
        each = node.inputs[1].shape[1]
    return each * node.output.elements + sum(tensor.elements for tensor in node.tensors())


def _run(waiting: Sequence[tuple[int, bytes]], runner: Runner, findings: Findings) -> None:
    lines = runner([data for _, data in waiting])
    for (number, data), line in zip(waiting, lines, strict=True):
        verdict, _, reason = line.partition(" ")
        if verdict == "ok":
            findings.ran += 1
        elif verdict == "refused":
            findings.refused_later[reason] += 1
        elif known := next((each for each in KNOWN if reason.startswith(f"{each}:")), None):
            findings.known[known] += 1
        else:
            findings.failures.append(Failure(number, data, line))


def batch_of(models: Iterable[bytes]) -> bytes:
    """Return what ``run_model --batch`` reads."""
    return b"".join(struct.pack("<I", len(model)) + model for model in models)


def local_runner(program: Path) -> Runner:
    """Return a runner that starts a ``run_model`` of this machine."""

    def run(models: Sequence[bytes]) -> list[str]:
        done = subprocess.run(
            [program, "--batch", "--isolate"],
            input=batch_of(models),
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().splitlines()

    return run
