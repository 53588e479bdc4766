from __future__ import annotations

import json
from pathlib import Path

from toolchain.actions import StepResult
from toolchain.digest import Digest
from toolchain.layout import Layout
from toolchain.machine import machine_text, read_machine, remember_machines, this_machine

INTEL = """processor\t: 0
model name\t: Intel(R) Xeon(R) Processor @ 2.80GHz
flags\t\t: fpu sse sse2 avx avx2 fma avx512f rdtscp

processor\t: 1
model name\t: Intel(R) Xeon(R) Processor @ 2.80GHz
flags\t\t: fpu sse sse2 avx avx2 fma avx512f rdtscp
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd evtstrm sve\n"


def result(name: str, *, cached: bool) -> StepResult:
    return StepResult(name, Digest.of_bytes(name.encode()), {}, cached)


def test_model_and_vector_extensions_are_read() -> None:
    machine = read_machine(INTEL, 2)
    assert machine.model == "Intel(R) Xeon(R) Processor @ 2.80GHz"
    assert machine.vector_extensions == ("avx", "avx2", "avx512f", "fma", "sse", "sse2")
    assert machine.processors == 2


def test_another_order_of_the_flags_is_the_same_machine() -> None:
    other = INTEL.replace("fpu sse sse2", "sse2 sse fpu")
    assert read_machine(other, 2) == read_machine(INTEL, 2)
    assert read_machine(INTEL.replace(" fma", ""), 2) != read_machine(INTEL, 2)


def test_a_system_that_says_less_is_read_too() -> None:
    assert read_machine(ARM, 1).vector_extensions == ("asimd", "sve")
    assert read_machine("", 1).model == ""


def test_this_machine_is_described() -> None:
    assert this_machine().processors >= 1
    assert len(this_machine().flags_sha256) == 64


def test_only_trainings_that_ran_now_are_remembered(tmp_path: Path) -> None:
    layout = Layout(project=tmp_path, cache=tmp_path / "cache")
    results = {
        step.name: step
        for step in (
            result("train sine", cached=False),
            result("train sine model_1", cached=True),
            result("convert sine", cached=False),
        )
    }
    remember_machines(layout, results)
    trained = json.loads(machine_text(layout, results))["trained"]
    assert set(trained) == {"train sine", "train sine model_1"}
    assert trained["train sine"]["flags_sha256"] == this_machine().flags_sha256
    assert trained["train sine model_1"] is None


def test_a_training_from_the_cache_keeps_its_machine(tmp_path: Path) -> None:
    layout = Layout(project=tmp_path, cache=tmp_path / "cache")
    remember_machines(layout, {"train sine": result("train sine", cached=False)})
    again = {"train sine": result("train sine", cached=True)}
    remember_machines(layout, again)
    assert json.loads(machine_text(layout, again))["trained"]["train sine"] is not None
