"""The pinned tree built for the machine itself: what models compute on it, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from model.graph import read_graph
from model.kernels import KERNELS
from model.support import require_support
from tests.conftest import RunSteps
from tests.containers.example_models import NAMES, example_models, example_recordings
from tests.containers.host_bench import HostBench, batch
from tests.containers.model_bench import ModelBench, P
from tests.unit.model_support import (
    CONV_2D,
    LSTM,
    SVDF,
    Model,
    Operator,
    Table,
    Tensor,
    changed,
    float_dense,
    floats,
    i8,
    i32,
    int8_dense,
    unary,
    with_operator,
)
from toolchain.actions import OutputOf, Step
from toolchain.boards import Board
from toolchain.layout import Layout
from toolchain.models import MODELS
from toolchain.pipeline.host_build import HOST_LIBRARY, HOST_RUNNER

FLOOR = 8


@pytest.fixture
def plain(layout: Layout, host_image: str, run_steps: RunSteps) -> HostBench:
    return HostBench(layout, host_image, run_steps)


@pytest.fixture
def sanitized(plain: HostBench) -> HostBench:
    return dataclasses.replace(plain, sanitized=True)


def raw(listed: list[int | str]) -> bytes:
    """Return numbers of a ``reference.json`` as they stand in a tensor."""
    return b"".join(
        struct.pack("<b", value) if isinstance(value, int) else struct.pack("<I", int(value, 16))
        for value in listed
    )


def of_examples(crate: Path) -> dict[str, tuple[bytes, bytes]]:
    """Return each example model with cases: its recordings, or numbers for the one without."""
    recordings = example_recordings(crate)
    return {
        name: (
            tflite,
            b"".join(each.data for each in recordings[name])
            if name in recordings
            else floats(0.0, 0.5, 1.5, 3.0, 6.28, -1.0, 100.0),
        )
        for name, tflite in example_models(crate).items()
    }


def test_the_sine_models_compute_what_the_other_interpreter_does(
    plain: HostBench, bench: ModelBench
) -> None:
    files = bench.sine()
    references = {name: json.loads(files[f"{name}/reference.json"]) for name in MODELS}
    judged = plain.judged(
        {
            name: (files[f"{name}.tflite"], raw(reference["inputs"]))
            for name, reference in references.items()
        }
    )
    assert {name: len(references[name]["tflm"]) for name in MODELS} == {
        "sine_int8": 256,
        "sine_float": 1000,
    }
    for name, reference in references.items():
        assert judged[name] == raw(reference["tflm"]), name


def test_models_of_other_makers_compute_what_the_other_interpreter_does(
    plain: HostBench, bench: ModelBench
) -> None:
    foreign = bench.foreign()
    for name in ("convolutions", "residual"):
        step = dataclasses.replace(bench.reference(foreign[name]), name=f"reference {name}")
        reference = json.loads(bench.known(step)[step.name]["reference.json"])
        judged = plain.judged({name: (foreign[name], raw(reference["inputs"]))})
        assert judged[name] == raw(reference["tflm"]), name


def test_the_example_models_are_supported_and_know_their_recordings(
    plain: HostBench, tflm_crate: Path
) -> None:
    models = of_examples(tflm_crate)
    assert models.keys() == set(NAMES)
    judged = plain.judged(models)
    for name, (tflite, cases) in models.items():
        graph = read_graph(tflite)
        require_support(graph)
        source, result = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
        assert source.element_bytes is not None
        assert result.element_bytes is not None
        count = len(cases) // (source.elements * source.element_bytes)
        assert len(judged[name]) == count * result.elements * result.element_bytes
    for name, recordings in example_recordings(tflm_crate).items():
        for place, recording in enumerate(recordings):
            size = len(judged[name]) // len(recordings)
            output = judged[name][place * size :][:size]
            values = struct.unpack("<4f", output) if name == "magic_wand" else tuple(output)
            assert values.index(max(values)) == recording.expected, (name, values)


def test_the_sanitizers_find_nothing_in_working_models_and_change_no_output(
    plain: HostBench, sanitized: HostBench, bench: ModelBench, tflm_crate: Path
) -> None:
    files = bench.sine()
    models = of_examples(tflm_crate) | {
        name: (files[f"{name}.tflite"], bytes(range(256)) if name.endswith("int8") else floats(1))
        for name in MODELS
    }
    assert sanitized.judged(models) == plain.judged(models)
    working = [tflite for tflite, _ in models.values()]
    lines = sanitized.run("--batch", given=batch(working)).printed.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * len(working)
    assert len({*lines}) == len(working)
    assert plain.run("--batch", given=batch(working)).printed.splitlines() == lines


def test_a_board_computes_functions_of_float_as_the_judge_does_to_the_last_bit(
    plain: HostBench, bench: ModelBench, board: Board
) -> None:
    operators = {"COS": 108, "TANH": 28, "LOGISTIC": 14, "LOG": 73, "SIN": 66, "SQUARE": 92}
    assert all(KERNELS[name].code == code for name, code in operators.items())
    chain = Model(
        [Tensor(f"t{place}") for place in range(len(operators) + 1)],
        [Operator(code, (at,), (at + 1,)) for at, code in enumerate(operators.values())],
        (0,),
        (len(operators),),
    ).tflite()
    console = bench.test_run(board, chain).console
    rows = re.findall(r"^test: x=(0x\w+) y=(0x\w+)\r?$", console, re.MULTILINE)
    assert len(rows) == 1000
    judged = plain.judged({"chain": (chain, raw([x for x, _ in rows]))})["chain"]
    assert judged == raw([y for _, y in rows])
    assert len({y for _, y in rows}) > 500


def moving_sum() -> Model:
    """y = 10 x before + x now."""
    return Model(
        [
            Tensor("x"),
            Tensor("features", data=floats(1)),
            Tensor("time", shape=(1, 2), data=floats(10, 1)),
            Tensor("bias", shape=(1,), data=floats(0)),
            Tensor("state", shape=(1, 2), variable=True),
            Tensor("y"),
        ],
        [Operator(SVDF, (0, 1, 2, 3, 4), (5,), options=Table({0: i32(1)}))],
        (0,),
        (5,),
    )


def test_a_variable_is_at_the_start_of_each_case_as_it_was_at_the_first(
    plain: HostBench, sanitized: HostBench
) -> None:
    models = {"moving sum": (moving_sum().tflite(), floats(1, 2, 3))}
    for bench in (plain, sanitized):
        assert bench.judged(models)["moving sum"] == floats(1, 2, 3)


def two_ends() -> Model:
    """Two inputs and two outputs of different sizes; the operators' order is not theirs."""
    return Model(
        [
            Tensor("a", shape=(2,)),
            Tensor("b", shape=(1,)),
            Tensor("c", shape=(2,)),
            Tensor("d", shape=(1,)),
        ],
        [Operator(FLOOR, (0,), (2,)), Operator(FLOOR, (1,), (3,))],
        (1, 0),
        (2, 3),
    )


def test_cases_hold_all_inputs_and_outputs_in_the_models_order(plain: HostBench) -> None:
    cases = floats(1.5, 2.5, 3.5) + floats(4.5, 5.5, 6.5)
    judged = plain.judged({"two ends": (two_ends().tflite(), cases)})
    assert judged["two ends"] == floats(2, 3, 1) + floats(5, 6, 4)


def test_no_cases_give_no_outputs(plain: HostBench) -> None:
    assert plain.judged({"no cases": (float_dense().tflite(), b"")})["no cases"] == b""


UNKNOWN = with_operator(float_dense(), code=LSTM, options=None)
CUSTOM = with_operator(float_dense(), code=32, custom="MINE", options=None)
LARGE = unary(FLOOR, Tensor("x", shape=(1, 1024)), Tensor("y", shape=(1, 1024)), 1)
OTHER_SCHEMA = dataclasses.replace(float_dense(), schema_version=4)
TWO_GRAPHS = dataclasses.replace(float_dense(), copies_of_subgraph=2)


@pytest.mark.parametrize(
    ("arguments", "model", "message"),
    [
        ("m in out", UNKNOWN, "not prepared: .*LSTM' version '1'"),
        ("m in out", CUSTOM, "not prepared: .*CUSTOM"),
        ("m in out", OTHER_SCHEMA, "version is 4 and the library's 3"),
        ("m in out", TWO_GRAPHS, "not prepared: .*1 subgraph"),
        ("m in out --arena 1024", LARGE, "not prepared: Arena size is too small"),
        ("m in out --arena 16384", int8_dense(), None),
        ("m in out", int8_dense(), None),
        ("m in out", float_dense(), "in: 5 bytes are no multiple of a case's 4"),
        ("m empty out", float_dense(), None),
        ("empty in out", float_dense(), "empty: the file is empty"),
        ("absent in out", float_dense(), "absent: No such file"),
        ("m absent out", float_dense(), "absent: No such file"),
        ("m empty absent/out", float_dense(), "absent/out: No such file"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    plain: HostBench, arguments: str, model: Model, message: str | None
) -> None:
    files = {"m": model.tflite(), "in": b"12345", "empty": b""}
    ran = plain.run(*arguments.split(), files=files)
    if message is None:
        assert (ran.code, ran.said) == (0, "")
        assert ran.files.keys() == {*files, "out"}
        return
    assert ran.code == 1
    assert len(ran.said.splitlines()) == 1
    assert ran.said.startswith("run_model: ")
    assert re.search(message, ran.said)
    assert ran.files == files


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "m in",
        "m in out more",
        "m in out --isolate",
        "--batch m",
        "--bach",
        "m in out --arena",
        "m in out --arena 10",
        "m in out --arena 9999999999",
        "m in out --arena -9000",
        "m in out --arena 9000bytes",
    ],
)
def test_a_wrong_command_line_is_told(plain: HostBench, arguments: str) -> None:
    ran = plain.run(*arguments.split(), files={"m": float_dense().tflite(), "in": b""})
    assert ran.code == 2
    assert ("usage" in ran.said) != ("takes a number of bytes from 1024 to" in ran.said)
    assert ran.files.keys() == {"m", "in"}


def truncated() -> Model:
    """A model whose kernel is shorter than its shape says."""
    model = changed(float_dense(), 0, shape=(1, 4))
    return changed(model, 1, shape=(1, 4))


def without_stride() -> Model:
    return Model(
        [
            Tensor("x", shape=(1, 2, 2, 1)),
            Tensor("filter", shape=(1, 1, 1, 1), data=floats(1)),
            Tensor("bias", shape=(1,), data=floats(0)),
            Tensor("y", shape=(1, 2, 2, 1)),
        ],
        [Operator(CONV_2D, (0, 1, 2), (3,), options=Table({0: i8(0), 1: i32(0), 2: i32(0)}))],
        (0,),
        (3,),
    )


def unequal() -> Model:
    """A model whose kernel writes fewer values than its output has."""
    return unary(FLOOR, Tensor("x", shape=(1, 2)), Tensor("y", shape=(1, 3)), 1)


def chain(first: Operator, second: Operator, middle: Tensor) -> Model:
    return Model([Tensor("x"), middle, Tensor("y")], [first, second], (0,), (2,))


def overflowing() -> Model:
    """A model that writes beyond its output, but not beyond the arena."""
    return unary(KERNELS["SIN"].code, Tensor("x", shape=(1, 8)), Tensor("y", shape=(1, 7)), 1)


X_TO_MIDDLE, MIDDLE_TO_Y = Operator(FLOOR, (0,), (1,)), Operator(FLOOR, (1,), (2,))
DISORDERED = chain(MIDDLE_TO_Y, X_TO_MIDDLE, Tensor("middle"))
WRITING_CONSTANT = chain(X_TO_MIDDLE, MIDDLE_TO_Y, Tensor("middle", data=floats(1)))
BROKEN: Mapping[str, tuple[Model, str]] = {
    "truncated": (truncated(), "heap-buffer-overflow"),
    "without stride": (without_stride(), "division by zero"),
    "overflowing": (overflowing(), "heap-buffer-overflow"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_crash_ends_a_batch_behind_the_last_model_that_did_not(
    sanitized: HostBench, name: str
) -> None:
    model, verdict = BROKEN[name]
    models = [
        float_dense(),
        with_operator(float_dense(), code=LSTM, options=None),
        model,
        float_dense(),
    ]
    ran = sanitized.run("--batch", given=batch([each.tflite() for each in models]))
    assert [line.split()[0] for line in ran.printed.splitlines()] == ["ok", "refused"]
    assert ran.code == 99
    assert verdict in ran.said
    assert "tensorflow/lite/" in ran.said


def test_a_crash_is_a_line_where_each_model_has_a_process_of_its_own(
    sanitized: HostBench,
) -> None:
    broken = [model for model, _ in BROKEN.values()]
    others = (float_dense(), DISORDERED, unequal(), WRITING_CONSTANT)
    models = [each.tflite() for each in (*broken, *others)]
    ran = sanitized.run("--batch", "--isolate", given=batch(models))
    assert (ran.code, ran.said) == (0, "")
    lines = ran.printed.splitlines()
    crashed, rest = lines[: len(broken)], lines[len(broken) :]
    for line, (_, verdict) in zip(crashed, BROKEN.values(), strict=True):
        assert line.startswith("crashed ")
        assert verdict in line
        assert "tensorflow/lite/" in line
    assert rest[0].startswith("ok ")
    assert rest[1:] == [
        "faulty the outputs depend on what was in memory before",
        "faulty the outputs depend on what was in memory before",
        "faulty it wrote into the model",
    ]


@pytest.mark.parametrize("given", [b"\1\0\0", b"\0\0\0\0", b"\4\0\0\0abc", b"\xff\xff\xff\xffx"])
def test_what_is_no_batch_is_told(plain: HostBench, given: bytes) -> None:
    good = batch([float_dense().tflite()])
    ran = plain.run("--batch", given=good + given)
    assert ran.code == 2
    assert ran.printed.startswith("ok ")
    assert ran.said == "run_model: the standard input is no batch of models\n"


@pytest.mark.parametrize("is_sanitized", [False, True])
def test_the_program_does_not_depend_on_where_it_is_built(
    plain: HostBench, is_sanitized: bool
) -> None:
    bench = dataclasses.replace(plain, sanitized=is_sanitized)
    library, runner = bench.runner_steps()
    source = "tensorflow/lite/micro/kernels/l2norm.cc"
    script = f"""
        cp -r /project /tmp/place
        mkdir -p /tmp/tree
        cp -r /opt/tflm /tmp/tree
        cd /tmp/tree/tflm
        "$@" PROJECT=/tmp/place GENDIR=/tmp/made /tmp/made/obj/{source}.o host_runner
        cp /tmp/made/bin/run_model /tmp/made/obj/{source}.o /out
    """
    arguments = [each for each in runner.arguments if not each.startswith("GENDIR=")][:-1]
    elsewhere = Step(
        name="elsewhere",
        image=runner.image,
        arguments=("sh", "-euc", script, "sh", *arguments),
        inputs=runner.inputs,
        outputs=(P("run_model"), P("l2norm.cc.o")),
        working_directory=runner.working_directory,
    )
    member = Step(
        name="member",
        image=runner.image,
        arguments=("sh", "-euc", "cd /out; x86_64-linux-gnu-ar x /project/library l2norm.cc.o"),
        inputs={P("library"): OutputOf(library.name, HOST_LIBRARY)},
        outputs=(P("l2norm.cc.o"),),
    )
    store, results = bench.run_steps([library, runner, elsewhere, member])
    program = results[runner.name].outputs[HOST_RUNNER]
    assert results[elsewhere.name].outputs[P("run_model")] == program
    name = P("l2norm.cc.o")
    assert results[elsewhere.name].outputs[name] == results[member.name].outputs[name]
    data = store.store.get(program)
    assert b"/project" not in data
    assert b"/tmp/place" not in data
