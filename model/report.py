"""Tells the story of the sine networks on one page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from model import html
from model.book import BOOK_FLOAT_BYTES, BOOK_QUANTISED_BYTES, BOOK_TRAININGS
from model.comparison import Comparison
from model.data import NOISE, SineData
from model.errors import UnsupportedModelError
from model.graph import Graph, Operator, Tensor, read_graph
from model.history import TrainingRecord
from model.sizes import SMALLEST_DYNAMIC_WEIGHT, FileParts, file_parts
from model.support import require_support

CHECKPOINTS = (50, 100, 200, 400, 600)
"""Epochs at which the report looks at model_2."""

_FUSED = {0: "", 1: " + ReLU", 2: " + ReLU -1..1", 3: " + ReLU 0..6", 4: " + tanh"}
_SHOWN_DIFFERENCES = 12


@dataclass(frozen=True)
class Story:
    """Everything that the report tells.

    Attributes:
        models: the ``.tflite`` files of model_2: ``float``, ``dynamic``, ``int8``.
        arenas: bytes of the tensor arena by the name of each model that firmware is made of.
        plots: PNG files by name.
        pins: name and version of what was used.
    """

    data: SineData
    model_1: TrainingRecord
    model_2: TrainingRecord
    comparison: Comparison
    models: Mapping[str, bytes]
    arenas: Mapping[str, int]
    plots: Mapping[str, bytes]
    pins: Sequence[tuple[str, str]]


def report_text(story: Story) -> str:
    """Return ``report.html``, a single file that opens without network."""
    body = [
        *_summary(story),
        *_data(story),
        *_model_1(story),
        *_model_2(story),
        *_conversion(story),
        *_comparison(story),
        *_graphs(story),
        *_memory(story),
        *_pins(story),
    ]
    return html.page("A sine, learned: from noisy samples to a model for a microcontroller", body)


def _summary(story: Story) -> Iterator[str]:
    yield html.paragraph(
        "Two small networks learn sin x from noisy samples. The first is too small and its plots "
        "show it; the second follows the curve. It is then converted for a microcontroller, in "
        "float and in int8, and every form of it is compared with the others."
    )
    rows = []
    for name, record in (("model_1", story.model_1), ("model_2", story.model_2)):
        last, book = record.last, BOOK_TRAININGS[name]
        rows.append(
            [
                f"{name}, here",
                f"{len(record.epochs):,}",
                *_figures(last.loss, last.mae, last.val_loss, last.val_mae),
                *_figures(record.test_loss, record.test_mae),
            ]
        )
        printed = book.last
        rows.append(
            [
                f"{name}, the book",
                f"{book.epochs:,}",
                *_figures(printed.loss, printed.mae, printed.val_loss, printed.val_mae),
                *(_figures(*book.test) if book.test else ("", "")),
            ]
        )
    noise = _figures(NOISE**2, NOISE * math.sqrt(2 / math.pi))
    rows.append(["the noise alone", "", *noise, *noise, *noise])
    yield html.table(
        ["", "epochs", "loss", "MAE", "val. loss", "val. MAE", "test loss", "test MAE"],
        rows,
        numbers=range(1, 8),
    )
    yield html.paragraph(
        "Loss is the mean squared error, MAE the mean absolute error. The book is TinyML by "
        "P. Warden and D. Situnayake (O'Reilly, 2019), chapter 4; its samples, first weights and "
        "order of samples are others, so that its figures are near and not equal. No network can "
        "do better on new samples than the noise in them: a perfect sine would get the last row."
    )


def _figures(*values: float) -> list[str]:
    return [f"{value:.4f}" for value in values]


def _data(story: Story) -> Iterator[str]:
    data = story.data
    sizes = [len(part) for part in (data.x_train, data.x_validation, data.x_test)]
    yield html.heading("1. The data")
    yield html.paragraph(
        f"{sum(sizes):,} inputs are drawn uniformly from one period, 0 to 2π, and shuffled; to "
        f"sin x comes Gaussian noise with a standard deviation of {NOISE}. The seed is "
        f"{story.model_2.seed}. {sizes[0]} samples are learned from, {sizes[1]} are for watching "
        f"the training (validation), and {sizes[2]} are looked at in the end only (test). They "
        "are in `data.npz`."
    )
    yield html.pictures(
        [
            html.picture(story.plots["data"], "All samples over the sine they were made from."),
            html.picture(story.plots["splits"], "The same samples in their three parts."),
        ]
    )


def _model_1(story: Story) -> Iterator[str]:
    record, noise = story.model_1, NOISE * math.sqrt(2 / math.pi)
    yield html.heading("2. model_1: one hidden layer of 16 units")
    yield html.paragraph(
        f"{_training(record)} Its last losses, {record.last.loss:.3f} on the training samples and "
        f"{record.last.val_loss:.3f} on the validation samples, are both far above the noise's "
        f"{NOISE**2:.3f}: it does not know the samples by heart, it cannot follow them. On the "
        f"test samples its mean absolute error is {record.test_mae:.3f}, "
        f"{record.test_mae / noise:.1f} times that of the noise alone. The plot of its predictions "
        "shows what it makes of a sine: a few straight lines."
    )
    yield _training_pictures(story, "model_1")


def _model_2(story: Story) -> Iterator[str]:
    record = story.model_2
    yield html.heading("3. model_2: two hidden layers of 16 units")
    ratio = story.model_1.test_loss / record.test_loss
    yield html.paragraph(
        f"{_training(record)} Its loss on the test samples is {record.test_loss:.4f}: "
        f"{ratio:.1f} times less than that of model_1."
    )
    seen = [epoch for epoch in CHECKPOINTS if epoch <= len(record.epochs)]
    if seen:
        rows = [
            [
                str(epoch),
                *_figures(at.loss, at.mae, at.val_loss, at.val_mae),
            ]
            for epoch in seen
            for at in [record.epochs[epoch - 1]]
        ]
        yield html.table(
            ["after epoch", "loss", "MAE", "val. loss", "val. MAE"], rows, numbers=range(5)
        )
    yield _training_pictures(story, "model_2")


def _training(record: TrainingRecord) -> str:
    return (
        f"Trained with rmsprop on the mean squared error, {len(record.epochs):,} epochs in "
        f"batches of {record.batch_size}."
    )


def _training_pictures(story: Story, name: str) -> str:
    return html.pictures(
        html.picture(story.plots[f"{name}_{plot}"], f"{name}: {text}")
        for plot, text in (
            ("loss", "loss of every epoch."),
            ("loss_later", "loss without the first epochs, whose large values hide the rest."),
            ("mae", "mean absolute error without the first epochs."),
            ("predictions", "its predictions for the test samples over the actual values."),
        )
    )


def _conversion(story: Story) -> Iterator[str]:
    parts = {name: file_parts(tflite) for name, tflite in story.models.items()}
    yield html.heading("4. Conversion")
    yield html.paragraph(
        "model_2 is converted three times: as it is, in float32; with dynamic-range quantisation, "
        "which stores large weights in int8; and in int8 throughout, input and output included, "
        "with the training samples as representative data, from which the range of every tensor "
        "is taken. Dense weights have one scale a tensor, because the pinned kernel reads one only."
    )
    yield html.table(
        ["file", "bytes", "weights", "biases", "everything else", "the pinned tree"],
        [
            [
                f"`sine_{name}.tflite`",
                *(f"{n:,}" for n in (each.total, each.weights, each.biases, each.structure)),
                _support(story.models[name]),
            ]
            for name, each in parts.items()
        ],
        numbers=range(1, 5),
    )
    yield html.pictures([html.picture(story.plots["sizes"], "What the bytes are spent on.")])
    yield html.heading("Why the files are not four times smaller", 3)
    yield html.bullets(_gaps(parts))


def _support(tflite: bytes) -> str:
    try:
        require_support(read_graph(tflite))
    except UnsupportedModelError as error:
        return f"refuses it: {error.what}"
    return "computes it"


def _gaps(parts: Mapping[str, FileParts]) -> Iterator[str]:
    whole, dynamic, int8 = parts["float"], parts["dynamic"], parts["int8"]
    constants = whole.weights + whole.biases
    yield (
        f"Of the float file's {whole.total:,} bytes only {constants:,} are the network's numbers, "
        f"{constants // 4} of 4 bytes each. The other {whole.structure:,} describe the graph: "
        f"{whole.tensors} tensors with names and shapes, operators, versions. Quantisation does "
        "not make those smaller."
    )
    if dynamic.quantised_tensors == 0:
        gap = abs(dynamic.total - whole.total)
        same = (
            "and the two files have the same numbers"
            if (dynamic.weights, dynamic.biases) == (whole.weights, whole.biases)
            else ""
        )
        yield (
            f"Dynamic range changes nothing here: the converter leaves a weight of fewer than "
            f"{SMALLEST_DYNAMIC_WEIGHT:,} elements in float32, the largest here has "
            f"{dynamic.largest_weight}, {same}. {_gap_text(gap)}; where such files do differ by "
            "some 20 bytes, it is in metadata and versions of operators, not in weights."
        )
    else:
        yield (
            f"Dynamic range stores {dynamic.quantised_tensors} weights in int8 and keeps the "
            "rest in float32."
        )
    yield (
        "A network with a weight of at least that size becomes hybrid by dynamic range: float "
        "inputs with int8 weights. The pinned tree has no kernels for that, and `./invoke build` "
        "refuses such a model instead of computing something else."
    )
    yield (
        f"int8 stores the weights in {int8.weights:,} bytes instead of {whole.weights:,}. The "
        f"biases stay at {int8.biases} bytes, because they are added to sums of products and have "
        f"32 bits. Against that stand scales and zero points of {int8.quantised_tensors} tensors: "
        f"the description grows by {int8.structure - whole.structure:,} bytes. What remains is a "
        f"gap of {whole.total - int8.total:,} bytes; the book has "
        f"{BOOK_FLOAT_BYTES - BOOK_QUANTISED_BYTES} ({BOOK_FLOAT_BYTES:,} and "
        f"{BOOK_QUANTISED_BYTES:,} bytes, from an older converter)."
    )
    yield "The larger the network, the nearer that gap comes to three quarters of the file."


def _gap_text(gap: int) -> str:
    return f"Their sizes differ by {gap} bytes" if gap else "Their sizes are the same"


def _comparison(story: Story) -> Iterator[str]:
    comparison = story.comparison
    yield html.heading("5. Comparison")
    yield html.paragraph(
        "Every form runs on the test samples, whose values are noisy, and on a grid of "
        f"{len(comparison.x_grid):,} inputs, where it is compared with sin x itself. TFLM is "
        "TensorFlow Lite Micro's interpreter built for this kind of computer; LiteRT runs its "
        "reference kernels."
    )
    rows = []
    for outcome in comparison.outcomes:
        on_test, on_grid = comparison.test_errors(outcome), comparison.grid_errors(outcome)
        form = "" if outcome.form == "keras" else f" {outcome.form}"
        rows.append(
            [
                f"{outcome.network}{form}",
                outcome.runtime,
                *_figures(on_test.mse, on_test.mae, on_test.largest),
                *_figures(on_grid.mse, on_grid.mae, on_grid.largest),
                "" if outcome.form == "keras" else f"{comparison.distance_from_keras(outcome):.2g}",
            ]
        )
    yield html.table(
        [
            *("model", "runtime", "test MSE", "test MAE", "test largest"),
            *("grid MSE", "grid MAE", "grid largest", "from Keras at most"),
        ],
        rows,
        numbers=range(2, 9),
    )
    yield html.pictures(
        [
            html.picture(
                story.plots["conversions"],
                "Keras, float and int8 lie upon each other; below, their differences from Keras.",
            )
        ]
    )
    yield from _int8_differences(comparison)


def _int8_differences(comparison: Comparison) -> Iterator[str]:
    int8 = comparison.int8
    differences = int8.differences()
    yield html.heading("Where int8 differs between the runtimes", 3)
    if not differences:
        yield html.paragraph(
            f"TFLM and LiteRT give the same output for all {len(int8.inputs)} int8 inputs."
        )
        return
    largest = max(abs(tflm - litert) for _, _, tflm, litert in differences)
    yield html.paragraph(
        f"TFLM and LiteRT give the same output for "
        f"{len(int8.inputs) - len(differences)} of {len(int8.inputs)} int8 inputs; for the other "
        f"{len(differences)} they differ by at most {largest}, where 1 stands for "
        f"{int8.output_scale:.5f}. LiteRT rounds the multiplication of sums otherwise. The "
        "firmware is held to TFLM, bit for bit."
    )
    listed = html.table(
        ["input", "x", "TFLM", "LiteRT", "difference"],
        [
            [str(raw), f"{x:.4f}", str(tflm), str(litert), f"{litert - tflm:+d}"]
            for raw, x, tflm, litert in differences
        ],
        numbers=range(5),
    )
    if len(differences) > _SHOWN_DIFFERENCES:
        listed = html.folded(f"all {len(differences)} inputs", listed)
    yield listed


def _graphs(story: Story) -> Iterator[str]:
    yield html.heading("6. The model's graph")
    yield html.paragraph(
        "A quantised tensor holds whole numbers q that stand for scale * (q - zero point)."
    )
    for name in ("int8", "float"):
        graph = read_graph(story.models[name])
        yield html.heading(f"sine_{name}.tflite", 3)
        yield html.table(
            ["", "operator", "version", "input", "weights", "bias", "output"],
            [
                [str(number), _operator(operator), str(operator.version), *_ends(operator)]
                for number, operator in enumerate(graph.operators)
            ],
            numbers=(0, 2),
        )
        yield html.table(
            ["tensor", "name", "type", "shape", "bytes in the file", "scale", "zero point"],
            [
                [str(number), tensor.name, tensor.type, _shape(tensor), *_content(tensor)]
                for number, tensor in enumerate(graph.tensors)
            ],
            numbers=(0, 4, 5, 6),
            names=(1,),
        )
        yield html.paragraph(_ways(graph))


def _operator(operator: Operator) -> str:
    # The first option of FULLY_CONNECTED is its activation.
    if operator.name != "FULLY_CONNECTED" or operator.options is None:
        return operator.name
    return operator.name + _FUSED.get(operator.options.integer(0, "b"), " + another activation")


def _ends(operator: Operator) -> tuple[str, str, str, str]:
    inputs = [str(index) for index in operator.inputs] + ["", "", ""]
    outputs = ", ".join(map(str, operator.outputs))
    return inputs[0], inputs[1], ", ".join(filter(None, inputs[2:])), outputs


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _content(tensor: Tensor) -> tuple[str, str, str]:
    size = f"{len(tensor.data.data):,}" if tensor.is_constant else ""
    if tensor.quantisation is None:
        return size, "", ""
    scales, zero_points = tensor.quantisation.scales, tensor.quantisation.zero_points
    return (
        size,
        ", ".join(f"{scale:.6g}" for scale in scales),
        ", ".join(str(zero_point) for zero_point in zero_points),
    )


def _ways(graph: Graph) -> str:
    inputs, outputs = (", ".join(map(str, ends)) for ends in (graph.inputs, graph.outputs))
    return f"The input is tensor {inputs}, the output tensor {outputs}."


def _memory(story: Story) -> Iterator[str]:
    yield html.heading("7. Memory on the board")
    yield html.table(
        ["model", "tensor arena, bytes"],
        [[f"`{name}`", f"{size:,}"] for name, size in story.arenas.items()],
        numbers=(1,),
    )
    yield html.paragraph(
        "The arena is estimated from the graph, with the sizes that the interpreter's structures "
        "have on a 32-bit processor, rounded up to 1,024 bytes. The firmware prints what it used "
        "of it when it starts; `./invoke simulate` shows that without a board."
    )


def _pins(story: Story) -> Iterator[str]:
    yield html.heading("8. What it was made with")
    yield html.table(
        ["", "version"], [[name, version] for name, version in story.pins], names=(0, 1)
    )
    yield html.paragraph(
        "The packages are pinned by digest; Python comes with the Debian suite. The same "
        "versions, seed and numbers of epochs give the same bytes of every file, this page "
        "included, with any number of processors, for any user and in any folder: the training "
        "runs on one thread, without the kernels that choose their arithmetic by the processor. "
        "`machine.json` beside this page says on which processor the networks were trained."
    )
