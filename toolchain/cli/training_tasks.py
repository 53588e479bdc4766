"""Tasks about how the sine models come about."""

from __future__ import annotations

from invoke.context import Context

from toolchain.cli.option_groups import (
    PLACE,
    RESULT,
    PlaceOptions,
    ResultOptions,
)
from toolchain.cli.option_values import whole_number
from toolchain.cli.printing import as_fields, show, show_json
from toolchain.cli.task import task
from toolchain.console import make_reporter


@task(
    help={
        "epochs": "passes over the training data; the model's own number when not given",
        "model-1-epochs": "those of the smaller network that the report compares it with",
        "seed": "of data, weights and shuffling; the model's own when not given",
    }
)
def train(
    _context: Context,
    epochs: str = "",
    model_1_epochs: str = "",
    seed: str = "",
    place: PlaceOptions = PLACE,
    result: ResultOptions = RESULT,
) -> None:
    """Train and convert the sine networks; write plots and a report to build/model/sine."""
    from toolchain.commands.train import LARGEST_SEED
    from toolchain.commands.train import train as run
    from toolchain.pipeline import TrainingOptions
    from toolchain.render.training import training_summary
    from toolchain.session import open_session

    default = TrainingOptions()
    options = TrainingOptions(
        epochs=whole_number("--epochs", epochs, at_least=1) if epochs else None,
        seed=whole_number("--seed", seed, at_least=0, at_most=LARGEST_SEED) if seed else None,
        small_epochs=whole_number("--model-1-epochs", model_1_epochs, at_least=1)
        if model_1_epochs
        else default.small_epochs,
    )
    reporter = make_reporter(quiet=result.silent)
    chosen_place = place.chosen()
    with open_session(reporter, training=options, engine=chosen_place) as session:
        trained = run(session)
    if result.json:
        show_json("train", **as_fields(trained))
        return
    show(training_summary(trained))
    if (options.epochs, options.seed) != (default.epochs, default.seed):
        reporter.note(
            "the next build trains with the model's own options again; "
            "to keep these, change DEFAULT_EPOCHS or DEFAULT_SEED in model/train.py"
        )


@task(
    help={
        "port": "of 127.0.0.1; one that is free when not given",
        "pair": "make the notebook from its .py file instead of opening it",
    }
)
def notebook(_context: Context, port: str = "", pair: bool = False) -> None:
    """Open the notebook that goes through the training step by step, in Jupyter, until Ctrl-C."""
    from toolchain.commands.notebook import pair_notebook, serve_notebook
    from toolchain.render.basics import shown_path

    if pair:
        show(f"made {shown_path(pair_notebook(make_reporter(quiet=False)))}")
        return

    def announce(address: str) -> None:
        show(f"open {address}\nyour copy is in build/notebook; Ctrl-C ends Jupyter")

    number = whole_number("--port", port, at_least=1, at_most=65535) if port else 0
    serve_notebook(make_reporter(quiet=False), announce, port=number)
