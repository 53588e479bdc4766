"""What the training steps are told."""

from __future__ import annotations

from dataclasses import dataclass

TRAINING_SECONDS = 1800
"""After which a training, or the conversion of a network, is ended."""

_SMALL_NETWORK_EPOCHS = 1000


@dataclass(frozen=True)
class TrainingOptions:
    """What the training step is told.

    Attributes:
        epochs: passes over the training data; None for the model's default.
        seed: of data, weights and shuffling; None for the model's default.
        small_epochs: passes of the network that is too small.
    """

    epochs: int | None = None
    seed: int | None = None
    small_epochs: int = _SMALL_NETWORK_EPOCHS

    @property
    def arguments(self) -> tuple[str, ...]:
        """The options as a command line."""
        epochs = () if self.epochs is None else ("--epochs", str(self.epochs))
        return (*epochs, *self._seed)

    @property
    def small_arguments(self) -> tuple[str, ...]:
        """The options of the network that is too small, as a command line."""
        return ("--hidden-layers", "1", "--epochs", str(self.small_epochs), *self._seed)

    @property
    def _seed(self) -> tuple[str, ...]:
        return () if self.seed is None else ("--seed", str(self.seed))
