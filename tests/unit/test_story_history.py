from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.history import TrainingRecord, history_text, read_history
from model.training import EpochFigures

FIGURE = st.floats(min_value=0, allow_infinity=False, allow_nan=False)
EPOCHS = st.lists(st.builds(EpochFigures, FIGURE, FIGURE, FIGURE, FIGURE), min_size=1, max_size=9)
RECORDS = st.builds(
    TrainingRecord,
    name=st.text(),
    seed=st.integers(min_value=0),
    batch_size=st.integers(min_value=1),
    hidden_layers=st.integers(1, 2),
    test_loss=FIGURE,
    test_mae=FIGURE,
    epochs=EPOCHS.map(tuple),
)


def record(epochs: int = 3) -> TrainingRecord:
    figures = tuple(EpochFigures(i + 0.1, i + 0.2, i + 0.3, i + 0.4) for i in range(epochs))
    return TrainingRecord("sine", 3, 16, 2, 0.5, 0.25, figures)


@given(RECORDS)
def test_what_was_written_is_read_with_every_bit(written: TrainingRecord) -> None:
    assert read_history(history_text(written)) == written


def test_every_epoch_is_in_the_file_by_the_figures_names() -> None:
    found = json.loads(history_text(record()))
    assert found["epochs"] == 3
    assert found["loss"] == [0.1, 1.1, 2.1]
    assert found["val_mae"] == [0.4, 1.4, 2.4]


def test_the_last_epoch_and_a_column_are_those_of_the_record() -> None:
    assert record().last == EpochFigures(2.1, 2.2, 2.3, 2.4)
    assert record().column("mae") == (0.2, 1.2, 2.2)


def test_a_file_of_another_schema_is_refused() -> None:
    text = history_text(record()).replace("history/1", "history/2")
    with pytest.raises(ValueError, match=r"history/2"):
        read_history(text)


@pytest.mark.parametrize("name", ["loss", "val_mae"])
def test_a_column_of_another_length_is_refused(name: str) -> None:
    found = json.loads(history_text(record()))
    found[name].pop()
    with pytest.raises(ValueError, match="3 epochs"):
        read_history(json.dumps(found))
