"""The sine networks."""

from __future__ import annotations

from typing import Any

HIDDEN_UNITS = 16


def sine_network(hidden_layers: int = 2) -> Any:
    """Return a compiled Keras model from x in radians to sin x, both of shape ``(batch, 1)``.

    Dense layers of 16 ReLU units, then one linear unit; rmsprop on the mean squared error, with
    the mean absolute error beside it. Layers are named, so that a saved file does not depend on
    what else was made in the process.

    Args:
        hidden_layers: 2, or 1 for the network that is too small for a sine.
    """
    import keras

    layers: list[Any] = [keras.Input((1,), name="x")]
    layers += [
        keras.layers.Dense(HIDDEN_UNITS, activation="relu", name=f"hidden_{number}")
        for number in range(1, hidden_layers + 1)
    ]
    layers.append(keras.layers.Dense(1, name="y"))
    network = keras.Sequential(layers, name=f"sine_{hidden_layers}x{HIDDEN_UNITS}")
    network.compile(optimizer="rmsprop", loss="mse", metrics=["mae"])
    return network
