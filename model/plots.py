"""Draws the story of the sine networks.

Colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart;
shapes and line styles differ too. The same figure gives the same bytes.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec

import numpy as np

from model.comparison import Comparison, Outcome, errors
from model.data import Column, SineData
from model.history import TrainingRecord
from model.sizes import FileParts

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREY = "#8A8A8A"

SKIPPED_EPOCHS = 50
"""Left out where the first epochs' large figures would hide the rest."""

WIDTH = 6.0
HEIGHT = 3.7
DOTS_PER_INCH = 180

_STYLE: Mapping[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


_Arguments = ParamSpec("_Arguments")


def _styled(draw: Callable[_Arguments, Any]) -> Callable[_Arguments, Any]:
    """Let a function draw in the style of this module, whatever the caller's is."""

    @functools.wraps(draw)
    def styled(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> Any:
        from matplotlib import rc_context

        with rc_context(_STYLE):
            return draw(*arguments, **options)

    return styled


@_styled
def data_figure(data: SineData) -> Any:
    """Draw all samples over the sine that they were made from."""
    figure, (axes,) = _panels("The data: sin x with noise")
    x = np.concatenate([data.x_train, data.x_validation, data.x_test])
    y = np.concatenate([data.y_train, data.y_validation, data.y_test])
    _scatter(axes, (x, y), GREY, "o", f"{len(x):,} samples")
    _sine(axes)
    _one_period(axes)
    _legend(axes)
    return figure


@_styled
def splits_figure(data: SineData) -> Any:
    """Draw the three parts of the samples, each by its colour and shape."""
    figure, (axes,) = _panels("The data in three parts")
    _scatter(axes, (data.x_train, data.y_train), BLUE, "o", f"training, {len(data.x_train)}")
    _scatter(
        axes,
        (data.x_validation, data.y_validation),
        ORANGE,
        "^",
        f"validation, {len(data.x_validation)}",
    )
    _scatter(axes, (data.x_test, data.y_test), BLACK, "x", f"test, {len(data.x_test)}")
    _one_period(axes)
    _legend(axes)
    return figure


@_styled
def loss_figure(record: TrainingRecord, network: str, *, skip: int = 0) -> Any:
    """Draw training and validation loss, without the first ``skip`` epochs."""
    title = f"{network}: loss{_without(record, skip)}"
    return _history_figure(record, ("loss", "val_loss"), title, "mean squared error", skip)


@_styled
def mae_figure(record: TrainingRecord, network: str, *, skip: int = SKIPPED_EPOCHS) -> Any:
    """Draw training's and validation's mean absolute errors, without the first ``skip`` epochs."""
    title = f"{network}: mean absolute error{_without(record, skip)}"
    return _history_figure(record, ("mae", "val_mae"), title, "mean absolute error", skip)


@_styled
def predictions_figure(actual: tuple[Column, Column], predicted: Column, network: str) -> Any:
    """Draw a network's predictions over the actual values.

    Args:
        actual: x and y of the samples, shape ``(n,)`` each.
        predicted: the network's y for each x.
        network: its name, for the title.
    """
    x, y = actual
    figures = errors(predicted, y)
    figure, (axes,) = _panels(
        f"{network}: predictions for the test samples\n"
        f"loss {figures.mse:.4f}, mean absolute error {figures.mae:.4f}"
    )
    _scatter(axes, actual, GREY, "o", "actual")
    _sine(axes)
    _scatter(axes, (x, predicted), VERMILLION, "x", "predicted")
    _one_period(axes)
    _legend(axes)
    return figure


@_styled
def conversions_figure(comparison: Comparison) -> Any:
    """Draw Keras, float and int8 predictions, and how far the conversions are from Keras."""
    figure, (above, below) = _panels(
        "model_2 in Keras, as float .tflite and as int8 .tflite (TFLM)", heights=(2, 1)
    )
    x = comparison.x_grid
    keras = comparison.find("model_2", "keras", "Keras")
    lite = comparison.find("model_2", "float", "TFLM")
    int8 = comparison.find("model_2", "int8", "TFLM")
    _scatter(above, (comparison.x_test, comparison.y_test), "#C4C4C4", "o", "test samples")
    above.plot(x, keras.grid, color=BLACK, linewidth=3.2, label="Keras")
    above.plot(x, lite.grid, color=SKY, linewidth=1.6, linestyle="--", label="float .tflite")
    above.plot(x, int8.grid, color=VERMILLION, linewidth=1.2, label="int8 .tflite")
    _one_period(above, labelled=False)
    _legend(above, place="upper right")
    for outcome, colour, style, label in (
        (lite, SKY, "--", "float"),
        (int8, VERMILLION, "-", "int8"),
    ):
        below.plot(
            x, _difference(outcome, keras), color=colour, linestyle=style, linewidth=1.2,
            label=label,
        )  # fmt: skip
    _one_period(below)
    below.set_ylabel("y - Keras' y")
    return figure


@_styled
def sizes_figure(parts: Mapping[str, FileParts]) -> Any:
    """Draw the files' sizes as bars, split into weights, biases and everything else.

    Args:
        parts: by the conversion's name, in the order to draw.
    """
    figure, (axes,) = _panels("Size of the .tflite files", height=3.0)
    places = list(range(len(parts)))[::-1]
    left = np.zeros(len(parts))
    for label, colour, hatch, sizes in (
        ("graph, names, scales", SKY, "", [each.structure for each in parts.values()]),
        ("weights", BLUE, "", [each.weights for each in parts.values()]),
        ("biases", ORANGE, "//", [each.biases for each in parts.values()]),
    ):
        axes.barh(
            places, sizes, left=left, height=0.55, color=colour, hatch=hatch, edgecolor="white",
            label=label,
        )  # fmt: skip
        left += np.array(sizes)
    for place, each in zip(places, parts.values(), strict=True):
        axes.text(each.total, place, f"  {each.total:,}", va="center")
    axes.set_yticks(places, list(parts))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, max(each.total for each in parts.values()) * 1.12)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("bytes")
    figure.legend(loc="outside lower left", ncols=3)
    return figure


@_styled
def png_bytes(figure: Any) -> bytes:
    """Return the figure as a PNG file without times and names of programs in it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return stream.getvalue()


def _history_figure(
    record: TrainingRecord, names: tuple[str, str], title: str, unit: str, skip: int
) -> Any:
    figure, (axes,) = _panels(title)
    skip = _shown_from(record, skip)
    epochs = range(skip + 1, len(record.epochs) + 1)
    training, validation = (record.column(name)[skip:] for name in names)
    marker = "o" if len(epochs) == 1 else ""
    axes.plot(
        epochs, validation, color=ORANGE, linewidth=1, linestyle="-", marker=marker,
        label="validation",
    )  # fmt: skip
    axes.plot(epochs, training, color=BLUE, linewidth=1.4, marker=marker, label="training")
    axes.set_xlabel("epoch")
    axes.set_ylabel(unit)
    if not skip:
        axes.set_ylim(bottom=0)
    _legend(axes)
    return figure


def _shown_from(record: TrainingRecord, skip: int) -> int:
    """Return how many epochs to leave out: none of a training that has no more than those."""
    return skip if len(record.epochs) > skip else 0


def _without(record: TrainingRecord, skip: int) -> str:
    left_out = _shown_from(record, skip)
    return f", without the first {left_out} epochs" if left_out else ""


def _difference(outcome: Outcome, keras: Outcome) -> Any:
    return outcome.grid.astype(np.float64) - keras.grid.astype(np.float64)


def _panels(
    title: str, *, height: float = HEIGHT, heights: Sequence[float] = (1,)
) -> tuple[Any, Sequence[Any]]:
    from matplotlib.figure import Figure

    size = (WIDTH, height + 1.6 * (len(heights) - 1))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(
        len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    panels[0].set_title(title)
    return figure, list(panels)


def _scatter(axes: Any, points: tuple[Any, Any], colour: str, marker: str, label: str) -> None:
    axes.scatter(*points, s=12, c=colour, marker=marker, linewidths=0.9, label=label)


def _sine(axes: Any) -> None:
    x = np.linspace(0.0, 2.0 * math.pi, 400)
    axes.plot(x, np.sin(x), color=BLUE, linestyle="--", linewidth=1.6, label="sin x")


def _one_period(axes: Any, *, labelled: bool = True) -> None:
    axes.set_xlim(-0.1, 2.0 * math.pi + 0.1)
    ticks = [number * math.pi / 2 for number in range(5)]
    axes.set_xticks(ticks, ["0", "π/2", "π", "3π/2", "2π"] if labelled else [""] * len(ticks))
    if labelled:
        axes.set_xlabel("x in radians")
    axes.set_ylabel("y")


def _legend(axes: Any, *, place: str = "best") -> None:
    axes.legend(loc=place, markerscale=1.6)
