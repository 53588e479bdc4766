"""Tensors that the device could not keep, or would overwrite."""

from __future__ import annotations

import dataclasses

import pytest

from model.errors import UnsupportedModelError
from model.graph import read_graph
from model.support import require_support
from tests.unit import model_support as fb
from tests.unit.model_support import CONV_2D, RELU, SVDF, Model, Operator, Tensor, changed


def check(model: Model) -> None:
    require_support(read_graph(model.tflite()))


def refusal(model: Model) -> UnsupportedModelError:
    with pytest.raises(UnsupportedModelError) as caught:
        check(model)
    assert caught.value.why
    assert caught.value.next_step
    return caught.value


def relu(source: int, result: int) -> Operator:
    return Operator(RELU, (source,), (result,))


def chain(*operators: Operator, tensors: int = 3) -> Model:
    made = [Tensor(f"t{number}") for number in range(tensors)]
    return Model(made, operators, (0,), (tensors - 1,))


@pytest.mark.parametrize(
    "model",
    [
        chain(relu(0, 1), relu(0, 1), relu(1, 2)),
        chain(relu(0, 1), relu(1, 1), relu(1, 2)),
        dataclasses.replace(chain(relu(0, 1), relu(1, 2)), inputs=(0, 1)),
        dataclasses.replace(chain(relu(0, 1), relu(1, 2)), inputs=(0, 1, 1)),
    ],
)
def test_a_tensor_that_is_written_twice_is_refused(model: Model) -> None:
    assert refusal(model).what == "tensor t1 is written twice"


def test_a_tensor_may_be_read_twice_and_be_an_output_twice() -> None:
    add = Operator(fb.ADD, (0, 0), (1,), options=fb.Table())
    check(dataclasses.replace(chain(add, tensors=2), outputs=(1, 1, 0)))


@pytest.mark.parametrize("ends", ["inputs", "outputs"])
def test_a_model_without_ends_is_refused(ends: str) -> None:
    model = chain(relu(0, 1), relu(1, 2))
    model = changed(model, 0, data=fb.floats(1)) if ends == "inputs" else model
    error = refusal(dataclasses.replace(model, **{ends: ()}))  # type: ignore[arg-type]
    assert error.what == f"the model has no {ends}"


def svdf(first: int) -> tuple[list[Tensor], Operator]:
    """Return the constants and the state of an SVDF, and the operator for tensors from here on."""
    tensors = [
        Tensor(f"features {first}", data=fb.floats(1)),
        Tensor(f"times {first}", data=fb.floats(1)),
        Tensor(f"bias {first}", shape=(1,), data=fb.floats(1)),
        Tensor(f"state {first}", variable=True),
    ]
    options = fb.options(SVDF, rank=1)
    return tensors, Operator(SVDF, (0, first, first + 1, first + 2, first + 3), (), options=options)


def states(*kinds: str) -> Model:
    """Return a model of SVDFs and convolutions one after the other."""
    tensors, operators, last = [Tensor("x")], [], 0
    for kind in kinds:
        at = len(tensors)
        if kind == "SVDF":
            more, operator = svdf(at)
            operator = dataclasses.replace(operator, inputs=(last, *operator.inputs[1:]))
            result = Tensor(f"y {at}")
        elif kind == "CONV_2D":
            more = [Tensor(f"filter {at}", shape=(1, 1, 1, 1), data=fb.floats(1))]
            options = fb.options(CONV_2D, stride_w=1, stride_h=1)
            operator = Operator(CONV_2D, (last, at), (), options=options)
            result = Tensor(f"y {at}", shape=(1, 1, 1, 1))
        else:
            more, operator = [], Operator(fb.RESHAPE, (last,), ())
            wide = tensors[last].shape == (1, 1)
            result = Tensor(f"y {at}", shape=(1, 1, 1, 1) if wide else (1, 1))
        tensors += [*more, result]
        last = len(tensors) - 1
        operators.append(dataclasses.replace(operator, outputs=(last,)))
    return Model(tensors, operators, (0,), (last,))


def test_scratch_buffers_are_asked_for_in_a_row() -> None:
    check(states("SVDF", "SVDF"))
    check(states("RESHAPE", "CONV_2D", "RESHAPE", "SVDF", "SVDF"))
    check(states("SVDF", "SVDF", "RESHAPE", "CONV_2D", "RESHAPE"))
    error = refusal(states("SVDF", "RESHAPE", "CONV_2D", "RESHAPE", "SVDF"))
    assert error.what.startswith("SVDF comes after another SVDF and a convolution, into tensor y")


NO_STATE = "is a variable and no state of an SVDF"


def test_a_variable_is_the_state_of_an_svdf() -> None:
    model = states("SVDF")
    check(model)
    assert [each.name for each in model.tensors if each.variable] == ["state 1"]
    for fields in ({"inputs": (0, 4)}, {"outputs": (5, 4)}):
        changes = dataclasses.replace(model, **fields)  # type: ignore[arg-type]
        if "inputs" in fields:
            assert f"state 1 {NO_STATE}" in refusal(changes).what
        else:
            check(changes)


def test_other_variables_are_refused() -> None:
    model = chain(relu(0, 1), relu(1, 2))
    for place in range(3):
        assert f"t{place} {NO_STATE}" in refusal(changed(model, place, variable=True)).what
    weights = changed(fb.float_dense(), 1, variable=True)
    assert f"kernel {NO_STATE}" in refusal(weights).what
    computed = dataclasses.replace(changed(weights, 1, data=b""), inputs=(0,))
    assert f"kernel {NO_STATE}" in refusal(computed).what
    state = changed(states("SVDF"), 4, data=fb.floats(0))
    assert f"state 1 {NO_STATE}" in refusal(state).what


def test_a_state_that_is_read_by_another_operator_too_is_refused() -> None:
    model = states("SVDF")
    tensors = [*model.tensors, Tensor("z")]
    operators = [relu(4, 6), *model.operators]
    model = dataclasses.replace(model, tensors=tensors, operators=operators, outputs=(5, 6))
    assert f"state 1 {NO_STATE}" in refusal(model).what
