"""The makers of mutants, and mutants against the verifier alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

import pytest

from model.errors import UnsupportedModelError
from model.graph import read_graph
from model.kernels import KERNELS
from model.support import require_support
from tests.fuzz.campaign import KNOWN, Findings, candidate, run_campaign, work_of
from tests.fuzz.generation import generated
from tests.fuzz.mutation import anatomy, mutant
from tests.unit import model_support as fb

MODELS = {"int8": fb.int8_dense().tflite(), "convolution": fb.int8_convolution().tflite()}
SEEDS = [anatomy(MODELS[name]) for name in sorted(MODELS)]


def is_accepted(data: bytes) -> bool:
    try:
        require_support(read_graph(data))
    except UnsupportedModelError:
        return False
    return True


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_models_of_every_operator_are_made_and_many_accepted(name: str) -> None:
    made = [generated(Random(f"{name} {number}"), name) for number in range(12)]
    assert len(set(made)) > 6
    assert any(is_accepted(each) for each in made)
    assert {read_graph(each).operators[0].name for each in made} == {name}


def test_a_mutant_follows_from_its_numbers_alone() -> None:
    for number in range(200):
        assert candidate(SEEDS, 7, number) == candidate(SEEDS, 7, number)
    assert len({candidate(SEEDS, 7, number) for number in range(200)}) > 180
    assert candidate(SEEDS, 8, 0) != candidate(SEEDS, 7, 0)


def test_a_file_is_taken_apart() -> None:
    data = MODELS["convolution"]
    taken = anatomy(data)
    roles = Counter(site.role for site in taken.sites)
    assert min(roles[role] for role in ("value", "length", "offset", "slot")) > 15
    texts = {data[span.start : span.start + span.size] for span in taken.spans}
    assert {b"filter", b"written by a test", bytes([1, 2])} <= texts
    scales = [site for site in taken.sites if site.role == "value" and site.form == "f"]
    assert 0.25 in [taken.number(site) for site in scales]


def test_mutants_change_a_little_and_now_and_then_much() -> None:
    data = SEEDS[0].data
    mutants = [mutant(SEEDS[0], Random(number)) for number in range(300)]
    same_length = [each for each in mutants if len(each) == len(data)]
    assert 200 < len(same_length) < 300
    changes = [
        sum(one != other for one, other in zip(each, data, strict=True)) for each in same_length
    ]
    assert sorted(changes)[len(changes) // 2] <= 8


def test_mutants_are_refused_or_accepted_and_nothing_else_comes_out() -> None:
    ran: list[bytes] = []

    def runner(models: Sequence[bytes]) -> list[str]:
        ran.extend(models)
        return ["ok 0"] * len(models)

    findings = run_campaign(MODELS, 1, range(1500), runner)
    assert not findings.failures, findings.report()
    assert findings.mutants == 1500 == findings.accepted + findings.refused.total()
    assert findings.ran == len(ran) == findings.accepted - findings.too_large
    assert findings.accepted > 300
    assert len(findings.refused) > 25


def told(line: str, models: Mapping[str, bytes] = MODELS) -> Findings:
    return run_campaign(models, 3, range(60), lambda waiting: [line] * len(waiting))


def test_what_the_runner_says_is_counted() -> None:
    ran, refused, faulty = (told(line) for line in ("ok 12", "refused it is", "faulty it was"))
    assert ran.ran == ran.accepted > 5
    assert refused.refused_later == {"it is": refused.accepted}
    assert "though accepted: it is: " in refused.report()
    assert [each.line for each in faulty.failures] == ["faulty it was"] * faulty.accepted
    (number, data) = (faulty.failures[0].number, faulty.failures[0].data)
    assert data == candidate(SEEDS, 3, number)
    assert f"FAILED mutant {number}: faulty it was" in faulty.report()


def test_only_what_is_known_of_an_operator_is_no_failure() -> None:
    quantise = fb.one_operator(
        "QUANTIZE", [fb.Tensor("x")], [fb.Tensor("y", "INT8", scales=[1], zero_points=[0])]
    )
    for known in KNOWN:
        others = told(f"crashed {known.verdict} and more")
        assert len(others.failures) == others.accepted > 5
    known = KNOWN[0]
    findings = told(f"crashed {known.verdict} and more", {"quantise": quantise.tflite()})
    assert findings.known[known.verdict] > 5
    assert findings.known.total() + len(findings.failures) == findings.accepted
    elsewhere = told("crashed somewhere else", {"quantise": quantise.tflite()})
    assert len(elsewhere.failures) == elsewhere.accepted


def test_work_is_what_a_window_sees_of_the_image() -> None:
    model = fb.one_operator(
        "AVERAGE_POOL_2D",
        [fb.Tensor("x", shape=(1, 4, 4, 1))],
        [fb.Tensor("y", shape=(1, 4, 4, 1))],
        stride_w=1,
        stride_h=1,
        filter_width=9,
        filter_height=2,
    )
    assert work_of(read_graph(model.tflite())) == 16 * 4 * 2 + 32
