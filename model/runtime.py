"""Makes TensorFlow compute the same bits on every run, on any number of cores."""

from __future__ import annotations

import os
from typing import Any


def deterministic_tensorflow() -> Any:
    """Import TensorFlow in its reproducible setting and return the module.

    One thread, because sums split over threads round differently with their number. Off is what
    chooses its arithmetic by the processor: oneDNN's rewriting of operators, its kernels for
    matrix products, and the graph rewriting that replaces a division by a square root with
    the processor's approximation of its reciprocal.
    Must be called before anything else imports TensorFlow.
    """
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"
    os.environ["TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL"] = "false"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    return tf
