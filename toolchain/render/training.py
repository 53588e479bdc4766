"""A training, for ``./invoke train``."""

from __future__ import annotations

from toolchain.commands.train import Trained
from toolchain.render.basics import shown_path, table


def training_summary(trained: Trained) -> str:
    """Return the last figures of each network, the sizes of the conversions, and the report."""
    figures = ("loss", "mae", "val_loss", "val_mae", "test_loss", "test_mae")
    rows = [
        [each.name, f"{each.epochs:,}", *(f"{getattr(each, figure):.4f}" for figure in figures)]
        for each in trained.networks
    ]
    headings = ["network", "epochs", *(figure.replace("_", " ") for figure in figures)]
    sizes = ", ".join(f"{name} {size:,} bytes" for name, size in trained.sizes.items())
    return (
        f"{table(headings, rows, frozenset(range(1, len(headings))))}\n\n{sizes}\n\n"
        f"report  {shown_path(trained.report)}\n"
        f"plots   {shown_path(trained.folder / 'plots')}"
    )
