"""Quantised operators at the ends of what their kernels can count."""

from __future__ import annotations

import dataclasses
import math
import struct
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model.arithmetic import CHECKS, quantised_multiplier
from model.errors import UnsupportedModelError
from model.graph import read_graph
from model.kernels import KERNELS
from model.support import require_support
from tests.unit.model_support import Model, Tensor, changed, one_operator

INT32 = (1 << 31) - 1
WRAPS = "the result would wrap around without an error"


def check(model: Model) -> None:
    require_support(read_graph(model.tflite()))


def refusal(model: Model) -> UnsupportedModelError:
    with pytest.raises(UnsupportedModelError) as caught:
        check(model)
    assert "{kernel}" not in caught.value.why
    assert caught.value.next_step
    return caught.value


def q(
    name: str, *shape: int, scale: float = 0.5, zero: int = 0, kind: str = "INT8", data: bytes = b""
) -> Tensor:
    return Tensor(name, kind, shape, data, scales=[scale], zero_points=[zero])


NOTHING_TO_COUNT = {
    "ARG_MAX": "compares values of one tensor",
    "ARG_MIN": "compares values of one tensor",
    "DEQUANTIZE": "computes with floats",
}


def test_there_is_a_check_for_every_kernel_that_computes_with_quantised_values() -> None:
    computing = {
        name
        for name, kernel in KERNELS.items()
        if not kernel.moves_raw_values
        and any({*form.operands, form.result} & {"INT8", "UINT8", "INT16"} for form in kernel.forms)
    }
    assert computing - set(CHECKS) == set(NOTHING_TO_COUNT)
    # Of those that move values, these add some of them up, or rescale them.
    assert set(CHECKS) - computing == {"AVERAGE_POOL_2D", "CONCATENATION"}


@given(st.floats(2.0**-60, 2.0**40))
def test_a_multiplier_is_31_bits_and_a_power_of_two(value: float) -> None:
    multiplier, shift = quantised_multiplier(value)
    if multiplier == 0:
        assert value < 2.0**-32
        return
    assert 1 << 30 <= multiplier < 1 << 31
    assert multiplier / (1 << 31) * 2.0**shift == pytest.approx(value, rel=2.0**-31)


def test_a_multiplier_that_is_rounded_up_to_one_has_a_longer_shift() -> None:
    assert quantised_multiplier(1 - 2.0**-40) == (1 << 30, 1)
    assert quantised_multiplier(1 - 2.0**-24) == ((1 << 31) - 128, 0)


@pytest.mark.parametrize(
    ("scale", "accepted"), [(2.0**-39, True), (2.0**-41, False), (2.0**39, True), (2.0**41, False)]
)
def test_scales_whose_products_single_precision_does_not_hold_are_refused(
    scale: float, accepted: bool
) -> None:
    model = one_operator("RELU", [q("x", 2, scale=scale)], [q("y", 2, scale=scale)])
    if accepted:
        check(model)
    else:
        assert refusal(model).what == f"RELU has tensor x with the scale {scale:g}"


def two(name: str, *scales: float, result: Tensor | None = None) -> Model:
    one, other, last = scales
    result = q("y", 2, scale=last) if result is None else result
    return one_operator(name, [q("a", 2, scale=one), q("b", 2, scale=other)], [result])


@pytest.mark.parametrize("name", ["ADD", "SUB"])
def test_a_sum_whose_scale_is_far_from_those_of_its_inputs_is_refused(name: str) -> None:
    # The larger input's scale times two, over 2**20 of the result's, must stay below one.
    check(two(name, 1, 2.0**-10, 2.0**-18))
    assert "multiplies tensor y" in refusal(two(name, 1, 2.0**-10, 2.0**-19)).what
    assert "halts the device" in refusal(two(name, 2.0**-10, 1, 2.0**-20)).why
    # 1 - 2**-33, which is rounded to one.
    nearly = 2.0**-19 * (1 + 2.0**-23)
    check(two(name, 1, 1, nearly))


def test_a_product_that_is_multiplied_beyond_32_bits_is_refused() -> None:
    # 128 times 128, and 2**16 of it.
    check(two("MUL", 2.0**8, 2.0**8, 2.0))
    error = refusal(two("MUL", 2.0**8, 2.0**9, 2.0))
    assert error.what == "MUL multiplies sums of up to 16384 by 65536, into tensor y"
    assert WRAPS in error.why


def test_zero_points_make_the_worst_product_larger() -> None:
    model = two("MUL", 2.0**8, 2.0**8, 2.0)
    model = changed(changed(model, 0, zero_points=[-128]), 1, zero_points=[127])
    assert "sums of up to 65025" in refusal(model).what


def test_a_slope_that_is_multiplied_beyond_32_bits_is_refused() -> None:
    check(two("PRELU", 2.0**8, 2.0**8, 2.0))
    assert "up to 16384" in refusal(two("PRELU", 2.0**8, 2.0**9, 2.0)).what
    # Values that are not multiplied by the slope.
    assert "up to 128 by" in refusal(two("PRELU", 2.0**20, 2.0**-30, 2.0**-6)).what


@pytest.mark.parametrize("name", ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER"])
def test_quantised_values_with_a_scale_of_one_or_more_cannot_be_compared(name: str) -> None:
    result = Tensor("y", "BOOL", (2,))
    check(two(name, 0.999, 2.0**-30, 0, result=result))
    for scales in ((1, 0.5), (0.5, 1.5)):
        error = refusal(two(name, *scales, 0, result=result))
        assert f"with the scale {max(scales):g}" in error.what
        assert "halts the device" in error.why


def test_an_activation_whose_limit_is_beyond_32_bits_is_refused() -> None:
    for name, options in (("RELU6", {}), ("AVERAGE_POOL_2D", POOL | {ACTIVATION: 3})):
        for scale, accepted in ((2.0**-28, True), (2.0**-29, False)):
            x, y = (q(each, 1, 1, 1, 1, scale=scale) for each in "xy")
            model = one_operator(name, [x], [y], 2, **options)
            if accepted:
                check(model)
            else:
                assert "limits tensor y, with the scale" in refusal(model).what


ACTIVATION = "fused_activation_function"
POOL = {"stride_w": 1, "stride_h": 1, "filter_width": 1, "filter_height": 1}


def test_an_average_of_more_values_than_32_bits_hold_is_refused() -> None:
    options = {"stride_w": 1 << 13, "stride_h": 1 << 13, "padding": 1}
    for size, accepted in ((2899, True), (2900, False)):
        x, y = q("x", 1, size, size, 1, kind="UINT8"), q("y", 1, 1, 1, 1, kind="UINT8")
        sizes = {"filter_width": size, "filter_height": size}
        model = one_operator("AVERAGE_POOL_2D", [x], [y], **options, **sizes)
        if accepted:
            check(model)
        else:
            assert "AVERAGE_POOL_2D adds up to 21" in refusal(model).what


def test_a_concatenation_that_rescales_beyond_32_bits_is_refused() -> None:
    for ratio, accepted in ((2.0**21, True), (2.0**22, False)):
        x = q("x", 2, scale=ratio, kind="UINT8")
        model = one_operator("CONCATENATION", [x], [q("y", 2, scale=1, kind="UINT8")])
        if accepted:
            check(model)
        else:
            assert "rescales tensor x by 4.1943e+06" in refusal(model).what


def test_16_bits_are_made_8_within_32() -> None:
    for scale, accepted in ((2.0**14, True), (2.0**15, False)):
        x = q("x", 2, scale=scale, kind="INT16")
        model = one_operator("QUANTIZE", [x], [q("y", 2, scale=1)])
        if accepted:
            check(model)
        else:
            assert "sums of up to 32768" in refusal(model).what


@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
@pytest.mark.parametrize(
    ("exponent", "accepted"), [(-28, True), (-28.01, False), (34.99, True), (35, False)]
)
def test_a_sigmoid_shifts_by_no_negative_and_no_endless_places(
    name: str, exponent: float, accepted: bool
) -> None:
    result = q("y", 2, scale=1 / 256, zero=-128)
    if name == "TANH":
        result = q("y", 2, scale=1 / 128)
    model = one_operator(name, [q("x", 2, scale=2.0**exponent)], [result])
    if accepted:
        check(model)
    else:
        assert "from 2**-28 to 2**35" in refusal(model).why


def softmax(depth: int, beta: float, scale: float = 0.5) -> Model:
    result = q("y", 1, depth, scale=1 / 256, zero=-128)
    return one_operator("SOFTMAX", [q("x", 1, depth, scale=scale)], [result], beta=beta)


@pytest.mark.parametrize("beta", [0, -1, math.nan, 2.0**-25, -math.inf])
def test_a_softmax_that_the_kernel_halts_at_is_refused(beta: float) -> None:
    check(softmax(4, 1))
    check(softmax(4, 2.0**-24))
    check(softmax(4, math.inf))
    assert "halts the device" in refusal(softmax(4, beta)).why


def test_a_softmax_over_more_values_than_its_sum_holds_is_refused() -> None:
    check(softmax(4095, 1))
    assert refusal(softmax(4096, 1)).what == "SOFTMAX is over 4096 values, of tensor x"


def test_a_norm_of_more_values_than_32_bits_hold_is_refused() -> None:
    result = q("y", 1, 1, scale=1 / 128)
    for depth, accepted in ((131_071, True), (131_072, False)):
        model = one_operator("L2_NORMALIZATION", [q("x", 1, depth)], [result])
        model = changed(model, 1, shape=(1, depth))
        if accepted:
            check(model)
        else:
            assert WRAPS in refusal(model).why


def dense(
    columns: int,
    weight: int,
    bias: int = 0,
    *,
    scales: Sequence[float] = (2.0**-4, 2.0**-4, 1),
    kind: str = "INT8",
) -> Model:
    one, other, last = scales
    lowest = -128 if kind == "INT8" else 0
    return one_operator(
        "FULLY_CONNECTED",
        [
            q("x", 1, columns, scale=one, zero=lowest, kind=kind),
            q("weights", 1, columns, scale=other, kind=kind, data=bytes([weight]) * columns),
            q("bias", 1, scale=one * other, kind="INT32", data=struct.pack("<i", bias)),
        ],
        [q("y", 1, 1, scale=last, zero=lowest, kind=kind)],
    )


def test_the_worst_sum_is_that_of_the_weights_and_the_bias() -> None:
    worst = 300 * 100 * 255
    check(dense(300, 100, INT32 - 256 - worst))
    for bias in (INT32 - 255 - worst, -(INT32 - 255 - worst)):
        error = refusal(dense(300, 100, bias))
        assert error.what == f"FULLY_CONNECTED adds up to {INT32 - 255}, into tensor y"
        assert WRAPS in error.why
        assert "make the layer smaller" in error.next_step


def test_a_weight_counts_by_its_distance_from_the_zero_point() -> None:
    for kind, weight, zero in (("INT8", 0x80, 127), ("UINT8", 255, 0)):
        model = changed(dense(3, weight, INT32, kind=kind), 1, zero_points=[zero])
        assert f"up to {3 * 255 * 255 + INT32}" in refusal(model).what


def test_weights_that_are_computed_count_as_the_worst() -> None:
    model = dense(300, 100, INT32)
    model = dataclasses.replace(changed(model, 1, data=b""), inputs=(0, 1))
    assert f"up to {300 * 128 * 255 + INT32}" in refusal(model).what


def test_a_bias_that_is_computed_is_refused() -> None:
    model = dataclasses.replace(changed(dense(1, 1), 2, data=b""), inputs=(0, 2))
    assert refusal(model).what == "FULLY_CONNECTED adds a bias, tensor bias, that is computed"


def test_a_sum_that_is_multiplied_beyond_32_bits_is_refused() -> None:
    # 255 times 127, times 2**16.
    check(dense(1, 127, scales=(2.0**4, 2.0**10, 1)))
    error = refusal(dense(1, 127, scales=(2.0**4, 2.0**12, 1)))
    assert error.what == "FULLY_CONNECTED multiplies sums of up to 32385 by 65536, into tensor y"
    # Also where nothing is added up: the shift itself is undefined.
    assert "sums of up to 0" in refusal(dense(1, 0, scales=(2.0**20, 2.0**20, 1))).what


@pytest.mark.parametrize("name", ["CONV_2D", "DEPTHWISE_CONV_2D"])
def test_each_channel_of_a_convolution_counts_by_itself(name: str) -> None:
    deep = name == "DEPTHWISE_CONV_2D"
    shape = (1, 1, 2, 2) if deep else (2, 1, 2, 1)
    # Weights 1 and 2 of the first channel, 3 and 4 of the second.
    weights = bytes([1, 3, 2, 4] if deep else [1, 2, 3, 4])
    scales = [0.5, 0.25]
    quantised: dict[str, Any] = {"scales": scales, "zero_points": [0, 0]}
    limit = INT32 - 256

    def model(first: int, second: int) -> Model:
        return one_operator(
            name,
            [
                q("x", 1, 1, 2, 1, scale=0.5),
                Tensor("filter", "INT8", shape, weights, axis=3 if deep else 0, **quantised),
                Tensor(
                    "bias",
                    "INT32",
                    (2,),
                    struct.pack("<2i", first, second),
                    scales=[0.5 * each for each in scales],
                    zero_points=[0, 0],
                ),
            ],
            [q("y", 1, 1, 1, 2, scale=4)],
            padding=1,
            stride_w=1,
            stride_h=1,
            **({"depth_multiplier": 2} if deep else {}),
        )

    check(model(limit - 3 * 128, limit - 7 * 128))
    for first, second, worst in ((limit - 3 * 128 + 1, 0, limit + 1), (0, limit, limit + 7 * 128)):
        assert f"adds up to {worst}, into tensor y" in refusal(model(first, second)).what


def svdf(**changes: Any) -> Model:
    given: dict[str, Any] = {"features": 1, "times": 100, "bias": 0, "zero": -128, "scale": 2.0**-7}
    given |= changes
    times = struct.pack("<4h", *[given["times"]] * 4)
    return one_operator(
        "SVDF",
        [
            q("x", 1, 2, scale=2.0**-7, zero=given.get("x", 0)),
            q("features", 2, 2, scale=2.0**-7, data=bytes([given["features"]]) * 4),
            q("times", 2, 2, scale=2.0**-14, kind="INT16", data=times),
            q(
                "bias",
                1,
                scale=given.get("bias_scale", 2.0**-14 * given["scale"]),
                kind="INT32",
                data=struct.pack("<i", given["bias"]),
            ),
            Tensor(
                "state",
                "INT16",
                (1, 4),
                scales=[given["scale"]],
                zero_points=[given.get("state_zero", 0)],
                variable=True,
            ),
        ],
        [q("y", 1, 1, scale=0.5, zero=given["zero"])],
        rank=2,
        **{ACTIVATION: given.get("activation", 1)},
    )


def test_a_state_of_16_bits_is_computed() -> None:
    check(svdf())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"zero": -127}, "has an activation that tensor y goes beyond"),
        ({"activation": 0}, "has the activation 0, into tensor y"),
        ({"state_zero": 1}, "has a zero point other than 0 in tensor state"),
        ({"bias_scale": 1.0}, "has a bias, tensor bias, whose scale is not that of its state"),
        ({"times": 32767}, "adds up to 4294836224, into tensor y"),
        ({"times": 16000, "bias": 1 << 30}, "adds up to 3170893824, into tensor y"),
        ({"scale": 2.0**-38}, "multiplies sums of up to 256 by 1.67772e+07, into tensor state"),
    ],
)
def test_a_state_that_the_kernel_does_not_compute_is_refused(
    changes: dict[str, Any], what: str
) -> None:
    assert what in refusal(svdf(**changes)).what


@given(st.floats(2.0**-30, 2.0**30), st.floats(2.0**-30, 2.0**30), st.floats(2.0**-30, 2.0**30))
def test_what_is_accepted_stays_inside_32_bits(one: float, other: float, last: float) -> None:
    scales = [struct.unpack("<f", struct.pack("<f", each))[0] for each in (one, other, last)]
    model = dense(7, 100, 1000, scales=scales)
    worst, multiplier = 7 * 100 * 255 + 1000, scales[0] * scales[1] / scales[2]
    # Or else the bias is refused, whose scale is rounded.
    assume(multiplier < 1e5)
    shift = max(0, quantised_multiplier(multiplier)[1])
    if worst << shift < INT32 - 256:
        check(model)
    elif worst << shift > INT32:
        assert WRAPS in refusal(model).why
