"""Gives mutants to the verifier, and those that it accepts to the sanitized interpreter."""

from __future__ import annotations

import math
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


@dataclass(frozen=True)
class Known:
    """Undefined behaviour of the pinned tree that depends on the input and not on the model.

    Attributes:
        verdict: what the sanitizer's line begins with.
        why: it is not for the verifier to refuse.
        concerns: whether an operator has it.
    """

    verdict: str
    why: str
    concerns: Callable[[Node], bool]


def _is_long_softmax(node: Node) -> bool:
    return node.name == "SOFTMAX" and node.output.type != "INT16" and node.output.shape[-1] > 511


KNOWN = (
    Known(
        "tensorflow/lite/kernels/internal/reference/quantize.h:41:74: runtime error: signed",
        "QUANTIZE of a float that is 2**31 steps or more away from zero. To convert it to an "
        "integer is undefined; what comes out of that on x86-64 overflows when the zero point is "
        "added. It is for whoever gives the input, and every model with QUANTIZE does it.",
        lambda node: node.name == "QUANTIZE" and node.inputs[0].type == "FLOAT32",
    ),
    Known(
        "tensorflow/lite/micro/tools/make/downloads/gemmlowp/fixedpoint/fixedpoint.h:141:12: "
        "runtime error: shift exponent 3",
        "SOFTMAX of 8 bits over 512 values or more that are nearly equal: it shifts by 32 places. "
        "On the boards' processors the result is one step then, where the right one is less than "
        "half a step. Classifiers of 1,000 classes have it, and are never so undecided.",
        _is_long_softmax,
    ),
)

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
        known: of these, how many came to what is ``KNOWN``, by the verdict.
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

    def report(self) -> str:
        """Return all of it as text."""
        lines = [
            f"{self.mutants} mutants: {self.refused.total()} refused, {self.accepted} accepted",
            f"of these {self.ran} ran, {self.too_large} are too large to run",
            f"the slowest check took {self.slowest[0]:.3f} s, mutant {self.slowest[1]}",
        ]
        for title, counts in (
            ("refused by", self.refused),
            ("refused by the interpreter though accepted:", self.refused_later),
            ("undefined for some inputs, as is known:", self.known),
        ):
            lines += [f"{title} {name}: {count}" for name, count in counts.most_common()]
        lines += [f"FAILED mutant {each.number}: {each.line}" for each in self.failures]
        return "\n".join(lines)


def run_campaign(
    models: Mapping[str, bytes],
    seed: int,
    numbers: Iterable[int],
    runner: Runner,
    batch: int = 1000,
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
    return sum(_work(node) for node in _nodes(graph))


def _nodes(graph: Graph) -> list[Node]:
    return [Node.of(graph, operator, KERNELS[operator.name]) for operator in graph.operators]


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
        elif known := _known(data, reason):
            findings.known[known.verdict] += 1
        else:
            findings.failures.append(Failure(number, data, line))


def _known(data: bytes, reason: str) -> Known | None:
    nodes = _nodes(read_graph(data))
    for known in KNOWN:
        if reason.startswith(known.verdict) and any(known.concerns(node) for node in nodes):
            return known
    return None
