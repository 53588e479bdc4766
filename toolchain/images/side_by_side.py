"""Makes images side by side, each after the one that it stands on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

from toolchain.images.cancellation import Cancellation
from toolchain.images.definition import Kind

AT_ONCE = 2
"""Fetching waits for the network and building for one processor; a third would gain little."""


def in_order_of_parents(
    parents: Mapping[Kind, Kind | None],
    make: Callable[[Kind], None],
    cancellation: Cancellation,
) -> None:
    """Make each image in a thread, and return when all are made.

    At the first failure, and when this is interrupted, the others are ended.

    Args:
        parents: what is to be made, and what each stands on; a parent that is no key is there.
        make: makes one image, its parent being there; it ends when ``cancellation`` says so.
        cancellation: called off when something goes wrong.

    Raises:
        Exception: the first that ``make`` raised.
    """
    sorter = TopologicalSorter[Kind]()
    for kind, parent in parents.items():
        sorter.add(kind, *([parent] if parent is not None and parent in parents else []))
    sorter.prepare()

    def begin(kind: Kind) -> None:
        cancellation.check()
        make(kind)

    running: dict[Future[None], Kind] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="image") as threads:
        try:
            while sorter.is_active():
                running |= {threads.submit(begin, kind): kind for kind in sorter.get_ready()}
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    sorter.done(running.pop(future))
        except BaseException:
            cancellation.cancel()
            raise
