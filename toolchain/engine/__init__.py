"""Finding, starting and installing a Docker Engine.

Public use::

    with open_engine(layout, reporter) as engine:
        engine.client.containers.run(...)

``open_engine`` and ``Engine`` are in :mod:`toolchain.engine.connection`.
"""

from toolchain.engine.connection import Engine, open_engine

__all__ = ["Engine", "open_engine"]
