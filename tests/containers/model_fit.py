"""Runs in the train image: ``python model_fit.py OUT`` trains one network as the toolchain does and
one with Keras ``fit`` over the same order of samples, and writes both.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from model.data import make_sine_data
from model.network import sine_network
from model.runtime import deterministic_tensorflow
from model.training import train_network

SEED, EPOCHS = 3, 3
FIGURES = ("loss", "mae", "val_loss", "val_mae")
DATA = make_sine_data(SEED)


def network() -> Any:
    deterministic_tensorflow().keras.utils.set_random_seed(SEED)
    return sine_network()


def column(values: Any) -> Any:
    return values.reshape(-1, 1)


def fitted(orders: list[Any]) -> tuple[Any, list[list[float]]]:
    made, history = network(), []
    validation = column(DATA.x_validation), column(DATA.y_validation)
    for order in orders:
        done = made.fit(
            column(DATA.x_train[order]),
            column(DATA.y_train[order]),
            batch_size=16,
            epochs=1,
            shuffle=False,
            validation_data=validation,
            verbose=0,
        )
        history.append([done.history[name][0] for name in FIGURES])
    return made, history


def main(out: Path) -> None:
    ours = network()
    figures = train_network(ours, DATA, seed=SEED, epochs=EPOCHS)
    generator = np.random.default_rng(SEED)
    orders = [generator.permutation(len(DATA.x_train)) for _ in range(EPOCHS)]
    fit, history = fitted(orders)
    other, _ = fitted([*orders[:-1], orders[-1][::-1]])
    for name, made in (("ours", ours), ("fit", fit), ("other", other)):
        np.savez(out / f"{name}.npz", *made.get_weights())
    ours_history = [[getattr(epoch, name) for name in FIGURES] for epoch in figures]
    (out / "history.json").write_text(json.dumps({"ours": ours_history, "fit": history}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
