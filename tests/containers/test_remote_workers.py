"""What befalls workers of ``./invoke worker``: death, a cut network, cancellation, a twin, an end.

Everything is real, as in ``test_remote_service.py``; here each test has workers of its own.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.remote_support import (
    Proxy,
    Started,
    client,
    run,
    shell,
    started,
    wait_until,
    worker,
)
from toolchain.engine import Engine
from toolchain.errors import WorkerError


@pytest.fixture(scope="module")
def service(
    engine: Engine,
    cross_image: str,
    train_image: str,
    host_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Started]:
    del cross_image, train_image, host_image
    os.environ.setdefault("DOCKER_HOST", engine.address.url)
    with started(tmp_path_factory.mktemp("service"), "--tokens") as running:
        yield running


def _sandboxes(cache: Path) -> int:
    folder = cache / "sandboxes"
    return len(list(folder.glob("*.lock"))) if folder.exists() else 0


def test_a_killed_workers_action_is_run_by_another_in_time(
    service: Started, cross_image: str, tmp_path: Path
) -> None:
    step = shell("slow", cross_image, "sleep 4; cat /project/input > /out/out")
    results: list[dict[str, bytes]] = []
    with worker(tmp_path / "w1", service, "doomed") as doomed:
        doomed.wait_for("working for")

        def go() -> None:
            with client(tmp_path / "client", service) as runner:
                results.append(run(runner, [step]))
                assert runner.records[0].made_by.worker == "heir-1"

        thread = threading.Thread(target=go)
        # Only this one takes it: the steady one would be as good.
        thread.start()
        wait_until(lambda: _sandboxes(tmp_path / "w1") > 0 or bool(results))
        killed = time.monotonic()
        doomed.kill()
        with worker(tmp_path / "w2", service, "heir") as heir:
            heir.wait_for(" done, ")
            thread.join(60)
    assert results == [{"slow": b"slow"}]
    # The patience with a silent worker, the look for dead ones, the action, and a slow machine.
    assert time.monotonic() - killed < 45
    # A new worker on the same cache clears what the killed one left.
    assert _sandboxes(tmp_path / "w1") > 0
    with worker(tmp_path / "w1", service, "doomed") as again:
        again.wait_for("working for")
        with client(tmp_path / "next", service) as runner:
            run(runner, [shell("next", cross_image, "touch /out/out")])
        assert _sandboxes(tmp_path / "w1") == 0


@pytest.mark.parametrize("whose", ["client", "worker"])
def test_a_cut_network_is_survived_when_it_comes_back(
    service: Started, cross_image: str, tmp_path: Path, whose: str
) -> None:
    proxy = Proxy(service.endpoint)
    theirs = proxy.endpoint if whose == "worker" else None
    ours = proxy.endpoint if whose == "client" else None
    step = shell(f"cut {whose}", cross_image, "sleep 6; cat /project/input > /out/out")
    found: list[dict[str, bytes]] = []

    def go() -> None:
        with client(tmp_path / "client", service, endpoint=ours) as runner:
            found.append(run(runner, [step]))

    try:
        with worker(tmp_path / "w", service, f"cut-{whose}", endpoint=theirs) as running:
            running.wait_for("working for")
            thread = threading.Thread(target=go)
            thread.start()
            wait_until(lambda: _sandboxes(tmp_path / "w") > 0 or bool(found))
            proxy.cut()
            time.sleep(2)
            proxy.mend()
            thread.join(90)
    finally:
        proxy.close()
    assert found == [{step.name: step.name.encode()}]


def test_a_cancelled_action_is_ended_on_its_worker(
    service: Started, cross_image: str, tmp_path: Path
) -> None:
    step = shell("long", cross_image, "sleep 100; touch /out/out")
    with worker(tmp_path / "w", service, "cancelled") as running:
        running.wait_for("working for")
        with client(tmp_path / "client", service) as runner:
            errors: list[BaseException] = []

            def go() -> None:
                try:
                    runner.run([step])
                except BaseException as error:
                    errors.append(error)

            thread = threading.Thread(target=go)
            thread.start()
            wait_until(lambda: _sandboxes(tmp_path / "w") > 0)
            runner.close()
            thread.join(30)
        running.wait_for("is not wanted any more")
        wait_until(lambda: _sandboxes(tmp_path / "w") == 0)
    assert errors


def test_a_second_worker_with_a_name_is_refused_here_and_harmless_elsewhere(
    service: Started, cross_image: str, tmp_path: Path
) -> None:
    steps = [
        shell(f"twin {number}", cross_image, "sleep 1; cat /project/input > /out/out")
        for number in range(6)
    ]
    with worker(tmp_path / "w", service, "twin") as one:
        one.wait_for("working for")
        with worker(tmp_path / "w", service, "twin") as two:
            assert two.ended() == WorkerError.exit_code
            assert two.count("runs here already") == 1
        # On another machine nobody knows of the other.
        with worker(tmp_path / "elsewhere", service, "twin") as two:
            two.wait_for("working for")
            with client(tmp_path / "client", service) as runner:
                assert run(runner, steps) == {step.name: step.name.encode() for step in steps}


def test_a_drained_worker_finishes_what_it_has(
    service: Started, cross_image: str, tmp_path: Path
) -> None:
    step = shell("drain", cross_image, "sleep 4; cat /project/input > /out/out")
    found: list[dict[str, bytes]] = []

    def go() -> None:
        with client(tmp_path / "client", service) as runner:
            found.append(run(runner, [step]))

    with worker(tmp_path / "w", service, "drained") as running:
        running.wait_for("working for")
        thread = threading.Thread(target=go)
        thread.start()
        wait_until(lambda: _sandboxes(tmp_path / "w") > 0 or bool(found))
        running.process.terminate()
        thread.join(60)
        assert running.ended() == 0
        assert running.count("1 actions were finished") == 1
    assert found == [{"drain": b"drain"}]
