from __future__ import annotations

import dataclasses
import json

import pytest

from model.errors import (
    RefusedError,
    UnsupportedModelError,
    UnusableDataError,
    exit_code_of,
)
from model.graph import read_graph
from model.kernels import KERNELS
from model.support import require_scalar_function, require_support
from tests.unit import model_support as fb
from tests.unit.model_support import Model, Tensor, changed, int8, unary, with_operator
from toolchain.actions.failure import REFUSALS

INT8 = fb.int8_dense()
FLOAT = fb.float_dense()
CONVOLUTION = fb.int8_convolution()
DEPTHWISE = fb.int8_convolution(fb.DEPTHWISE_CONV_2D)
PER_CHANNEL_CURE = "_experimental_disable_per_channel_quantization_for_dense_layers = True"


def check(model: Model) -> None:
    require_support(read_graph(model.tflite()))


def refusal(model: Model) -> UnsupportedModelError:
    with pytest.raises(UnsupportedModelError) as caught:
        check(model)
    assert caught.value.why
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize(
    "model",
    [
        INT8,
        FLOAT,
        CONVOLUTION,
        DEPTHWISE,
        unary(fb.LOGISTIC, int8("x"), int8("y", scale=1 / 256, zero=-128)),
        unary(fb.RELU, Tensor("x"), Tensor("y")),
        unary(fb.RESHAPE, Tensor("x", "INT16"), Tensor("y", "INT16", (1,)), 1),
    ],
)
def test_what_the_kernels_compute_is_accepted(model: Model) -> None:
    check(model)


def dense_with_scales(count: int) -> Model:
    model = changed(INT8, 1, shape=(count, 1), data=bytes(count))
    model = changed(model, 1, scales=[0.02] * count, zero_points=[0] * count)
    bias = {"scales": [0.0002] * count, "zero_points": [0] * count}
    return changed(model, 2, shape=(count,), data=bytes(4 * count), **bias)


def test_one_scale_a_channel_of_dense_weights_is_refused_with_tensor_and_cure() -> None:
    # TensorFlow writes version 12 for it; the message must not be about the version.
    for version in (4, 12):
        error = refusal(with_operator(dense_with_scales(3), version=version))
        assert error.what == "FULLY_CONNECTED has 3 scales, one a channel, in tensor kernel"
        assert "would compute wrong numbers" in error.why
        assert PER_CHANNEL_CURE in error.next_step


def test_one_scale_a_channel_is_refused_wherever_the_kernel_reads_one() -> None:
    source = Tensor("x", "INT8", scales=[0.5, 0.5], zero_points=[0, 0])
    error = refusal(unary(fb.RELU, source, int8("y")))
    assert error.what == "RELU has 2 scales, one a channel, in tensor x"
    assert PER_CHANNEL_CURE not in error.next_step


@pytest.mark.parametrize("model", [CONVOLUTION, DEPTHWISE])
@pytest.mark.parametrize(
    "fields",
    [{"axis": 1}, {"scales": [0.5] * 3, "zero_points": [0] * 3}],
)
def test_scales_that_are_not_those_of_the_channels_are_refused(
    model: Model, fields: dict[str, object]
) -> None:
    assert "for the 2 channels of tensor filter" in refusal(changed(model, 1, **fields)).what


def test_hybrid_weights_are_refused_as_such_with_one_scale_and_with_many() -> None:
    weights = {"type": "INT8", "data": bytes([1]), "scales": [0.5], "zero_points": [0]}
    for version, more in ((3, {}), (12, {"scales": [0.5, 0.5], "zero_points": [0, 0]})):
        error = refusal(with_operator(changed(FLOAT, 1, **{**weights, **more}), version=version))
        assert error.what == (
            "FULLY_CONNECTED is hybrid: FLOAT32, INT8, FLOAT32 -> FLOAT32, "
            "with weights in tensor kernel"
        )
        assert "or not at all" in error.next_step


def test_an_unknown_operator_is_refused_by_name_and_the_known_ones_are_listed() -> None:
    custom = fb.Operator(fb.CUSTOM, (0,), (1,), custom="FlexErf")
    error = refusal(Model([Tensor("x"), Tensor("y")], [custom], (0,), (1,)))
    assert error.what == "the model uses CUSTOM FlexErf, version 1"
    assert "FULLY_CONNECTED" in error.next_step
    assert "the model uses " in refusal(unary(fb.LSTM, Tensor("x"), Tensor("y"))).what


def test_an_unknown_operator_is_refused_before_the_types_that_come_with_it() -> None:
    custom = fb.Operator(fb.CUSTOM, (0,), (1,), custom="ReadVariable")
    model = Model([Tensor("x", "FLOAT16"), Tensor("y")], [custom], (0,), (1,))
    assert "CUSTOM ReadVariable" in refusal(model).what


@pytest.mark.parametrize("model", [INT8, FLOAT])
def test_a_newer_version_is_refused_and_the_known_one_is_named(model: Model) -> None:
    error = refusal(with_operator(model, version=5))
    assert error.what.startswith("the model uses FULLY_CONNECTED, version 5, for ")
    assert "fully_connected.cc) knows version 4" in error.why


def test_each_form_has_its_own_highest_version() -> None:
    axis = Tensor("axis", "INT32", (1,), bytes(4))
    for kind, version in (("FLOAT32", 3), ("INT16", 4)):
        tensors = [axis, Tensor("x", kind), Tensor("y", kind)]
        operator = fb.Operator(fb.SPLIT, (0, 1), (2,), version)
        check(Model(tensors, [operator], (1,), (2,)))
        newer = dataclasses.replace(operator, version=version + 1)
        assert f"version {version + 1}, for" in refusal(Model(tensors, [newer], (1,), (2,))).what


@pytest.mark.parametrize(
    "fields", [{"open_shape": (-1, 1)}, {"shape": (-1, 1)}, {"shape": (), "open_shape": (-1,)}]
)
def test_an_open_batch_is_refused_with_the_input_named_first(fields: dict[str, object]) -> None:
    model = changed(changed(FLOAT, 3, **fields), 0, **fields)
    error = refusal(model)
    assert error.what.startswith("tensor x has the open shape [?")
    assert "batch_shape=(1, ...)" in error.next_step


def test_an_omitted_optional_input_is_refused() -> None:
    error = refusal(with_operator(FLOAT, inputs=(0, 1, -1)))
    assert error.what == "FULLY_CONNECTED leaves out its optional input 2"
    assert "use_bias=True" in error.next_step


def test_what_makes_a_version_needed_is_named_before_the_version() -> None:
    weights = {"type": "INT8", "data": bytes([1]), "scales": [0.5], "zero_points": [0]}
    plain, late = FLOAT, changed(FLOAT, 1, **weights)
    tensors = [*plain.tensors, late.tensors[1], Tensor("z")]
    first = dataclasses.replace(plain.operators[0], version=12)
    second = dataclasses.replace(first, inputs=(3, 4, 2), outputs=(5,))
    error = refusal(Model(tensors, [first, second], (0,), (5,)))
    assert error.what.startswith("FULLY_CONNECTED is hybrid")


def test_inputs_that_are_all_omitted_are_refused() -> None:
    assert "leaves out" in refusal(with_operator(FLOAT, inputs=(-1, -1))).what
    model = changed(with_operator(FLOAT, inputs=(-1, -1)), 3, type="INT32")
    assert refusal(model).what == "FULLY_CONNECTED computes  -> INT32"


def test_hybrid_weights_are_refused_as_such_also_without_a_bias() -> None:
    weights = {"type": "INT8", "data": bytes([1]), "scales": [0.5], "zero_points": [0]}
    error = refusal(with_operator(changed(FLOAT, 1, **weights), inputs=(0, 1, -1)))
    assert error.what.startswith("FULLY_CONNECTED is hybrid: FLOAT32, INT8 -> FLOAT32")


def test_a_bias_may_be_absent_where_the_kernel_looks_for_its_absence() -> None:
    check(with_operator(FLOAT, inputs=(0, 1)))


@pytest.mark.parametrize("fields", [{"inputs": (0,)}, {"inputs": (0, 1, 2, 2)}, {"outputs": ()}])
def test_a_wrong_number_of_inputs_or_outputs_is_refused(fields: dict[str, object]) -> None:
    assert "FULLY_CONNECTED has " in refusal(with_operator(FLOAT, **fields)).what


@pytest.mark.parametrize("length", [1, 3, 5, 8])
def test_content_of_another_length_than_the_shape_is_refused(length: int) -> None:
    error = refusal(changed(FLOAT, 2, data=bytes(length)))
    assert error.what == f"tensor bias FLOAT32[1] has {length} bytes of content instead of 4"


def with_constant(alignment: int) -> Model:
    table = Tensor("table", "INT64", (1,), bytes(8), data_alignment=alignment)
    return dataclasses.replace(FLOAT, tensors=[*FLOAT.tensors, table])


def test_content_that_is_not_aligned_to_its_elements_is_refused() -> None:
    check(with_constant(16))
    error = refusal(with_constant(4))
    assert error.what == "the content of tensor table is not aligned to its elements"


def test_sparse_weights_are_refused() -> None:
    assert refusal(changed(FLOAT, 1, sparse=True)).what == "tensor kernel is stored sparsely"


@pytest.mark.parametrize("kind", ["FLOAT16", "INT4"])
def test_a_type_that_the_tree_does_not_know_is_refused(kind: str) -> None:
    error = refusal(changed(FLOAT, 1, type=kind, data=bytes(2)))
    assert error.what == f"tensor kernel has the type {kind}"


def test_types_that_the_kernel_does_not_combine_are_refused() -> None:
    error = refusal(unary(fb.RELU, Tensor("x", "INT32"), Tensor("y", "INT32")))
    assert error.what == "RELU computes INT32 -> INT32"
    assert "FLOAT32 -> FLOAT32; UINT8 -> UINT8; INT8 -> INT8" in error.why


@pytest.mark.parametrize("result", [int8("y", scale=0.25), int8("y", zero=1)])
def test_values_that_are_moved_between_scales_are_refused(result: Tensor) -> None:
    check(unary(fb.RESHAPE, int8("x"), int8("y"), 1))
    error = refusal(unary(fb.RESHAPE, int8("x"), result, 1))
    assert error.what == "RESHAPE has tensors of different scales: x and y"


def test_only_the_8bit_concatenation_without_sign_rescales() -> None:
    for kind in ("INT8", "UINT8"):
        tensors = [
            Tensor(name, kind, scales=[scale], zero_points=[0])
            for name, scale in (("a", 0.5), ("b", 0.25), ("y", 0.5))
        ]
        tensors[2] = dataclasses.replace(tensors[2], shape=(1, 2))
        axis = fb.options(fb.CONCATENATION, axis=1)
        operator = fb.Operator(fb.CONCATENATION, (0, 1), (2,), 2, axis)
        model = Model(tensors, [operator], (0, 1), (2,))
        if kind == "INT8":
            assert "different scales: a and b" in refusal(model).what
        else:
            check(model)


@pytest.mark.parametrize(
    "fields",
    [
        {"scales": [], "zero_points": []},
        {"scales": [0.5], "zero_points": []},
        {"scales": [], "zero_points": [0]},
        {"scales": [0.0]},
        {"scales": [-0.5]},
        {"scales": [float("nan")]},
        {"scales": [float("inf")]},
    ],
)
@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_quantised_tensor_without_a_usable_scale_is_refused(
    place: int, fields: dict[str, object]
) -> None:
    name = INT8.tensors[place].name
    error = refusal(changed(INT8, place, **fields))
    assert f"tensor {name} without a scale and a zero point" in error.what


@pytest.mark.parametrize("zero_point", [-129, 128, 1 << 40])
def test_a_zero_point_outside_its_type_is_refused(zero_point: int) -> None:
    error = refusal(changed(INT8, 3, zero_points=[zero_point]))
    assert error.what.endswith(f"tensor y with the zero point {zero_point}")


def test_16bit_values_need_a_scale_where_the_kernel_computes_with_it() -> None:
    dequantize = 6
    plain = Tensor("x", "INT16")
    assert "tensor x without a scale" in refusal(unary(dequantize, plain, Tensor("y"))).what
    scaled = dataclasses.replace(plain, scales=[0.5], zero_points=[0])
    check(unary(dequantize, scaled, Tensor("y")))


@pytest.mark.parametrize("model", [INT8, CONVOLUTION, DEPTHWISE])
def test_a_bias_with_a_scale_of_its_own_is_refused(model: Model) -> None:
    count = len(model.tensors[2].scales)
    error = refusal(changed(model, 2, scales=[0.1] * count))
    assert "a bias, tensor bias, whose scale is not that of its input times" in error.what


def test_a_bias_whose_scale_is_rounded_is_accepted() -> None:
    check(changed(INT8, 2, scales=[0.0002 + 0.01 * 0.03]))


@pytest.mark.parametrize("model", [CONVOLUTION, DEPTHWISE])
def test_weights_of_a_convolution_must_be_symmetric(model: Model) -> None:
    error = refusal(changed(model, 1, zero_points=[0, 1]))
    assert error.what.endswith("has a zero point other than 0 in tensor filter")


@pytest.mark.parametrize("model", [CONVOLUTION, DEPTHWISE])
def test_weights_without_a_sign_have_one_scale(model: Model) -> None:
    tensors = [
        dataclasses.replace(each, type="UINT8") if each.type == "INT8" else each
        for each in model.tensors
    ]
    unsigned = dataclasses.replace(model, tensors=tensors)
    error = refusal(unsigned)
    assert error.what.endswith("has 2 scales, one a channel, in the UINT8 tensor filter")
    weights, bias = tensors[1], tensors[2]
    one = changed(unsigned, 1, scales=weights.scales[:1], zero_points=weights.zero_points[:1])
    check(changed(one, 2, scales=bias.scales[:1], zero_points=bias.zero_points[:1]))


def test_weights_of_a_dense_layer_need_not_be_symmetric() -> None:
    check(changed(INT8, 1, zero_points=[7]))


@pytest.mark.parametrize(
    ("code", "right"),
    [(fb.LOGISTIC, (1 / 256, -128)), (28, (1 / 128, 0)), (fb.SOFTMAX, (1 / 256, -128))],
)
def test_a_scale_that_the_kernel_does_not_compute_with_is_refused(
    code: int, right: tuple[float, int]
) -> None:
    scale, zero = right
    options = fb.options(code, beta=1) if code == fb.SOFTMAX else None
    check(unary(code, int8("x"), int8("y", scale=scale, zero=zero), options=options))
    for wrong in ((scale / 2, zero), (scale, zero + 1)):
        result = int8("y", scale=wrong[0], zero=wrong[1])
        error = refusal(unary(code, int8("x"), result, options=options))
        assert "gives tensor y the scale" in error.what


def test_shuffled_weights_are_refused() -> None:
    error = refusal(with_operator(FLOAT, options=fb.Table({1: fb.i8(1)})))
    assert error.what == "FULLY_CONNECTED has shuffled weights in tensor kernel"


def test_options_that_leave_their_table_are_refused_as_damage() -> None:
    file = bytearray(with_operator(FLOAT, options=fb.Table({1: fb.i8(0)})).tflite())
    # The options' vtable: 8 bytes long, of a table of 5 bytes, with its field 1 at byte 4.
    vtable = file.index(b"\x08\0\x05\0\0\0\x04\0")
    file[vtable + 6] = 5
    with pytest.raises(UnsupportedModelError, match="not a readable"):
        require_support(read_graph(bytes(file)))


SAME, VALID = 0, 1
RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3


def depthwise(padding: int, dilation: int, activation: int = 0) -> Model:
    return fb.int8_convolution(
        fb.DEPTHWISE_CONV_2D,
        padding=padding,
        dilation_w_factor=dilation,
        fused_activation_function=activation,
    )


def test_a_dilated_depthwise_convolution_with_padding_is_refused() -> None:
    check(depthwise(SAME, 1))
    check(depthwise(VALID, 2))
    assert "dilated with padding 'same'" in refusal(depthwise(SAME, 2)).what


@pytest.mark.parametrize(
    ("activation", "scale", "zero_point", "accepted"),
    [
        (0, 0.5, 0, True),
        (RELU, 0.5, -128, True),
        (RELU, 0.5, -127, False),
        (RELU6, 6 / 255, -128, True),
        (RELU6, 5 / 255, -128, True),
        (RELU6, 7 / 255, -128, False),
        (RELU6, 6 / 255, -100, False),
        (RELU_N1_TO_1, 2 / 255, 0, True),
        (RELU_N1_TO_1, 2 / 255, 1, False),
        (RELU_N1_TO_1, 3 / 255, 0, False),
    ],
)
def test_an_activation_that_the_depthwise_kernel_would_skip_is_refused(
    activation: int, scale: float, zero_point: int, accepted: bool
) -> None:
    model = changed(depthwise(SAME, 1, activation), 3, scales=[scale], zero_points=[zero_point])
    if accepted:
        check(model)
    else:
        assert "an activation that tensor y goes beyond" in refusal(model).what


def chain(*operators: fb.Operator, tensors: int = 3, constant: int | None = None) -> Model:
    made = [
        Tensor(f"t{number}", data=fb.floats(1) if number == constant else b"")
        for number in range(tensors)
    ]
    return Model(made, operators, (0,), (tensors - 1,))


def relu(source: int, result: int) -> fb.Operator:
    return fb.Operator(fb.RELU, (source,), (result,))


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (chain(), "the model has no operators"),
        (chain(relu(1, 2), relu(0, 1)), "RELU reads tensor t1 before anything is written"),
        (chain(relu(0, 1)), "the model's output reads tensor t2 before anything is written"),
        (chain(relu(0, 2)), "tensor t1 is not read by any operator"),
        (chain(relu(0, 1), relu(0, 2)), "tensor t1 is not read by any operator"),
        (chain(relu(1, 2), constant=1), "tensor t0 is not read by any operator"),
        (chain(relu(0, 1), relu(1, 2), constant=1), "t1 is computed and has constant content"),
        (chain(relu(0, 1), relu(1, 2), constant=0), "t0 is computed and has constant content"),
    ],
)
def test_tensors_that_the_device_cannot_place_are_refused(model: Model, what: str) -> None:
    assert what in refusal(model).what


def test_tensors_in_the_order_of_their_data_are_accepted() -> None:
    check(chain(relu(0, 1), relu(1, 2)))


def test_constants_without_content_and_without_use_are_accepted() -> None:
    shape = Tensor("shape", "INT32", (0,))
    reshape = fb.Operator(fb.RESHAPE, (0, 1), (2,))
    check(Model([Tensor("x"), shape, Tensor("y", shape=())], [reshape], (0,), (2,)))
    unused = Tensor("unused", data=fb.floats(1))
    model = unary(fb.RELU, Tensor("x"), Tensor("y"))
    check(dataclasses.replace(model, tensors=[*model.tensors, unused]))


def scalar(model: Model) -> str:
    return require_scalar_function(read_graph(model.tflite()))


def test_the_type_of_a_scalar_function_is_that_of_its_ends() -> None:
    assert scalar(INT8) == "int8"
    assert scalar(FLOAT) == "float"
    assert scalar(changed(changed(FLOAT, 0, shape=()), 3, shape=(1, 1, 1))) == "float"


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (changed(FLOAT, 0, shape=(1, 4)), "1 inputs and 1 outputs: x FLOAT32[1,4], y FLOAT32[1,1]"),
        (changed(FLOAT, 3, shape=(2,)), "y FLOAT32[2]"),
        (changed(FLOAT, 3, shape=(0,)), "y FLOAT32[0]"),
        (dataclasses.replace(FLOAT, inputs=(0, 1)), "2 inputs and 1 outputs"),
        (dataclasses.replace(FLOAT, outputs=()), "1 inputs and 0 outputs"),
        (changed(FLOAT, 3, type="INT8"), "x FLOAT32[1,1], y INT8[1,1]"),
        (changed(changed(FLOAT, 0, type="UINT8"), 3, type="UINT8"), "x UINT8[1,1], y UINT8[1,1]"),
    ],
)
def test_other_than_one_number_from_one_number_is_refused(model: Model, what: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        scalar(model)
    assert what in caught.value.what
    assert "hello_world" in caught.value.why


@pytest.mark.parametrize("text", ["", "two\nlines", 'tensor "x" \\ ü', "\u2028\x1b[1m\x00"])
def test_a_refusal_is_one_line_of_json(text: str) -> None:
    error = UnsupportedModelError(text, why=text, next_step=text)
    assert len(error.as_json().splitlines()) == 1
    assert json.loads(error.as_json()) == {
        "error": "unsupported-model",
        "what": text,
        "why": text,
        "next": text,
    }


@pytest.mark.parametrize("error", [UnsupportedModelError, UnusableDataError])
def test_only_what_is_refused_has_the_exit_code_of_it(
    error: type[RefusedError], capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise error("no")

    assert REFUSALS[error.kind].exit_code == error.exit_code
    assert exit_code_of(refuse) == error.exit_code
    assert json.loads(capsys.readouterr().err)["what"] == "no"
    assert exit_code_of(lambda: None) == 0
    with pytest.raises(ZeroDivisionError):
        exit_code_of(lambda: print(1 / 0))


def test_every_kernel_is_consistent_with_itself() -> None:
    known = set(fb.TYPES) | {"INT64"}
    for name, kernel in KERNELS.items():
        fewest, most = kernel.inputs
        assert 1 <= fewest <= most, name
        assert kernel.forms, name
        assert len(set(kernel.forms)) == len(kernel.forms), name
        for form in kernel.forms:
            assert {*form.operands, form.result} <= known, name
            assert 1 <= len(form.operands) <= most, name
            assert form.version >= 1, name
        assert set(kernel.channels) <= set(range(most)), name
        assert kernel.bias is None or kernel.bias < most, name
        assert set(kernel.fixed) <= {form.result for form in kernel.forms}, name
        assert kernel.source.endswith(".cc"), name


def test_no_two_kernels_have_one_code() -> None:
    assert len({kernel.code for kernel in KERNELS.values()}) == len(KERNELS)
    # The pinned tree reads the code from a signed byte.
    assert all(0 <= kernel.code < 127 for kernel in KERNELS.values())
