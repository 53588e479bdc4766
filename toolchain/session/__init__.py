"""An open command: the checkout, its pins and steps, and what runs them."""

from toolchain.session.engine_choice import ENGINES, EngineChoice, chosen_engine
from toolchain.session.session import Session, make_pipeline, open_session

__all__ = [
    "ENGINES",
    "EngineChoice",
    "Session",
    "chosen_engine",
    "make_pipeline",
    "open_session",
]
