# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A sine, learned: from noisy samples to a model for a microcontroller
#
# The steps of `./invoke train`, one by one, with the same functions. At the end there is a model of
# a few kilobytes, as a C++ array that a firmware can be built with.
#
# Run the cells from top to bottom. The whole notebook takes about a minute.

# %% [markdown]
# ## 0. Set up
#
# Inside `./invoke notebook` everything is there. In Colab, or in a Python of your own, the next
# cell installs the pinned versions; in Colab give the address of this project's git repository
# first.

# %%
import importlib.metadata
import os
import subprocess
import sys
import tomllib
from pathlib import Path

REPOSITORY = ""  # @param {type:"string"}


def find_project() -> Path:
    for place in (Path.cwd(), *Path.cwd().parents, *map(Path, sys.path)):
        if (place / "model" / "training.py").is_file() and (place / "pins.toml").is_file():
            return place
    if not REPOSITORY:
        raise FileNotFoundError("give REPOSITORY, or start this notebook in the project's folder")
    subprocess.run(["git", "clone", "--depth", "1", REPOSITORY, "tinyml-project"], check=True)
    return Path("tinyml-project").resolve()


def installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


PROJECT = find_project()
sys.path.insert(0, str(PROJECT))
PINS = tomllib.loads((PROJECT / "pins.toml").read_text())["train"]["requirements"]
MISSING = [f"{name}=={version}" for name, version in PINS.items() if installed(name) != version]
if MISSING:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *MISSING], check=True)
print("all packages are there" if not MISSING else f"installed {', '.join(MISSING)}")

# %% [markdown]
# TensorFlow is set up so that it computes the same bits on every run. The environment variables
# shorten the training for a quick try.

# %%
from model.runtime import deterministic_tensorflow

tf = deterministic_tensorflow()

from IPython.display import Image, display

from model import plots
from model.files import write_file
from model.history import TrainingRecord
from model.network import sine_network
from model.progress import Progress
from model.train import DEFAULT_EPOCHS, DEFAULT_SEED
from model.training import BATCH_SIZE, save_network, train_network

SEED = DEFAULT_SEED
EPOCHS_1 = int(os.environ.get("SINE_EPOCHS_1", "1000"))
EPOCHS_2 = int(os.environ.get("SINE_EPOCHS_2", DEFAULT_EPOCHS))
OUT = Path("sine")


def show(figure: object) -> None:
    display(Image(plots.png_bytes(figure), width=640))


# %% [markdown]
# ## 1. The data
#
# 1,000 values of x, drawn uniformly from one period, and sin x with a little Gaussian noise. Real
# measurements are never clean either.

# %%
from model.data import make_sine_data, save_data

data = make_sine_data(SEED)
save_data(data, OUT / "data.npz")
show(plots.data_figure(data))

# %% [markdown]
# The samples are split: 60 % to learn from, 20 % to watch the training with, and 20 % that are
# looked at in the end only. They were shuffled, so that each part covers the whole period.

# %%
show(plots.splits_figure(data))

# %% [markdown]
# ## 2. model_1, which is too small
#
# One hidden layer of 16 units, then one unit for the result. `train_network` does what Keras' `fit`
# does, with the same resulting weights, in a fraction of its time.


# %%
def train(network, name: str, epochs: int) -> TrainingRecord:
    history = train_network(network, data, seed=SEED, epochs=epochs, after_epoch=Progress(epochs))
    test_loss, test_mae = network.evaluate(
        data.x_test.reshape(-1, 1), data.y_test.reshape(-1, 1), verbose=0
    )
    record = TrainingRecord(
        name, SEED, BATCH_SIZE, len(network.layers) - 1, test_loss, test_mae, history
    )
    print(f"after epoch {epochs}: {record.last}")
    print(f"on the test samples: loss {test_loss:.4f}, mean absolute error {test_mae:.4f}")
    return record


tf.keras.utils.set_random_seed(SEED)
network_1 = sine_network(hidden_layers=1)
network_1.summary()
record_1 = train(network_1, "model_1", EPOCHS_1)

# %% [markdown]
# The loss is the mean squared error. It falls steeply at first:

# %%
show(plots.loss_figure(record_1, "model_1"))

# %% [markdown]
# Without the first epochs one sees what happens later. Does it still get better?

# %%
show(plots.loss_figure(record_1, "model_1", skip=plots.SKIPPED_EPOCHS))
show(plots.mae_figure(record_1, "model_1"))

# %% [markdown]
# A mean absolute error of about 0.3 is a lot for values between -1 and 1, and the noise explains no
# more than 0.08 of it. The predictions show why: the network bends its line too few times. It
# *underfits*.

# %%
from model.comparison import keras_predictor

TEST = (data.x_test, data.y_test)
show(plots.predictions_figure(TEST, keras_predictor(network_1)(data.x_test), "model_1"))

# %% [markdown]
# ## 3. model_2, with a second hidden layer

# %%
tf.keras.utils.set_random_seed(SEED)
network_2 = sine_network(hidden_layers=2)
network_2.summary()
record_2 = train(network_2, "model_2", EPOCHS_2)
save_network(network_2, OUT / "sine.keras")

# %%
show(plots.loss_figure(record_2, "model_2"))
show(plots.loss_figure(record_2, "model_2", skip=plots.SKIPPED_EPOCHS))
show(plots.mae_figure(record_2, "model_2"))

# %% [markdown]
# After about 200 epochs there is little left to gain: the error is nearly that of the noise.

# %%
show(plots.predictions_figure(TEST, keras_predictor(network_2)(data.x_test), "model_2"))

# %% [markdown]
# ## 4. Conversion
#
# TensorFlow Lite's format holds the graph and its numbers in one file that is used where it lies.
# Three conversions: float32; *dynamic range*, which stores large weights in int8; and int8
# throughout, which needs representative data to find the range of every tensor.

# %%
from model.conversion import (
    convert_dynamic_range,
    convert_float,
    convert_int8,
    load_network,
)
from model.sizes import file_parts

trained = load_network(OUT / "sine.keras")
models = {
    "float": convert_float(trained),
    "int8": convert_int8(trained, [data.x_train.reshape(-1, 1)]),
    "dynamic": convert_dynamic_range(trained),
}
for form, tflite in models.items():
    write_file(OUT / f"sine_{form}.tflite", tflite)
    print(f"{form}: {file_parts(tflite)}")
show(plots.sizes_figure({form: file_parts(tflite) for form, tflite in models.items()}))

# %% [markdown]
# Most of such a small file describes the graph, so that int8 makes it far less than four times
# smaller. Dynamic range leaves weights of fewer than 1,024 elements as they are, and this network
# has no larger one.

# %% [markdown]
# ## 5. Comparison
#
# The same inputs in Keras, on LiteRT and on TensorFlow Lite Micro's interpreter for this computer.

# %%
from model.comparison import compare

comparison = compare(
    {"model_1": keras_predictor(network_1), "model_2": keras_predictor(trained)},
    models,
    TEST,
)
for outcome in comparison.outcomes:
    on_test, on_grid = comparison.test_errors(outcome), comparison.grid_errors(outcome)
    print(
        f"{outcome.network} {outcome.form:8} {outcome.runtime:7} test mae {on_test.mae:.4f}  "
        f"from sin x at most {on_grid.largest:.4f}  "
        f"from Keras at most {comparison.distance_from_keras(outcome):.2g}"
    )
show(plots.conversions_figure(comparison))

# %% [markdown]
# Where do the two runtimes give different int8 numbers?

# %%
for raw, x, tflm, litert in comparison.int8.differences():
    print(f"input {raw:4} (x = {x:.4f}): TFLM {tflm:4}, LiteRT {litert:4}")

# %% [markdown]
# ## 6. For the firmware
#
# The int8 file as a C++ array, in the lines that `xxd -i` writes, with the list of the operators
# that the firmware has to register.

# %%
from model.embedding import check_model, embedded_files

for file, text in embedded_files(check_model("sine_int8", models["int8"])).items():
    write_file(OUT / "sine_int8" / file, text)
print((OUT / "sine_int8" / "model_data.cc").read_text()[:400], "...")

# %% [markdown]
# `./invoke build --target sparkfun_edge` makes a firmware of it, `./invoke simulate` runs that
# without a board, and `./invoke verify` proves that it computes what the model computes.
