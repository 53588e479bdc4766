"""A runner with a remote cache: what is taken from it, offered to it, and survived."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import grpc
import pytest

from tests.unit.actions_support import HostExecutor, RecordingReporter, make_layout, shell
from tests.unit.remote_support import Service, serving
from toolchain.actions import Executor, Maker, Runner, SharedCache
from toolchain.actions.action import PreparedAction
from toolchain.actions.action_cache import decode_result
from toolchain.actions.executor import Execution
from toolchain.digest import Digest
from toolchain.layout import Layout
from toolchain.remote.cache import RemoteCache
from toolchain.remote.connection import Connection
from toolchain.remote.endpoint import Endpoint
from toolchain.remote.settings import Credentials

P = PurePosixPath


class _IsolatedExecutor(HostExecutor):
    """Runs here, and says that it was a sandbox: only such results are offered to others."""

    def run(self, action: PreparedAction, progress: object) -> Execution:
        assert callable(progress)
        done = super().run(action, progress)
        return Execution(done.outputs, Maker("docker", isolated=True, pinned=True))


@dataclasses.dataclass
class Machine:
    """One user's machine: a cache folder of its own."""

    runner: Runner
    layout: Layout
    reporter: RecordingReporter
    executors: list[HostExecutor]

    @property
    def ran(self) -> list[str]:
        return [name for executor in self.executors for name in executor.ran]


@contextmanager
def machine(
    folder: Path,
    endpoint: Endpoint,
    executor: type[HostExecutor] = _IsolatedExecutor,
    token: Path | None = None,
) -> Iterator[Machine]:
    folder.mkdir(exist_ok=True)
    layout, reporter = make_layout(folder), RecordingReporter()
    executors: list[HostExecutor] = []

    def make_executor() -> Executor:
        executors.append(executor(layout, runner.store))
        return executors[-1]

    def make_shared() -> SharedCache:
        return RemoteCache(Connection(endpoint, Credentials(token)), runner.store, reporter)

    with Runner(layout, make_executor, reporter, make_shared=make_shared) as runner:
        yield Machine(runner, layout, reporter, executors)


CHAIN = [
    shell(
        "first",
        "echo one >$OUT/out; head -c 3000000 /dev/zero >$OUT/large",
        outputs=("out", "large"),
    ),
    shell("second", "echo two >$OUT/out"),
]


def test_what_one_machine_made_is_not_made_by_another(tmp_path: Path) -> None:
    service = Service()
    with serving(service) as endpoint:
        with machine(tmp_path / "one", endpoint) as one:
            made = one.runner.run(CHAIN)
        assert sorted(one.ran) == ["first", "second"]
        with machine(tmp_path / "two", endpoint) as two:
            found = two.runner.run(CHAIN)
            records = two.runner.records
        assert two.ran == []
        assert two.executors == []
        assert {name: result.outputs for name, result in made.items()} == {
            name: result.outputs for name, result in found.items()
        }
        assert sorted(two.reporter.steps) == [
            f"first: cached at {endpoint}",
            f"second: cached at {endpoint}",
        ]
        assert {record.made_by.server for record in records} == {str(endpoint)}
        kept = two.layout.actions / made["first"].action.sha256[:2]
        _, result = decode_result((kept / f"{made['first'].action.sha256}.json").read_bytes())
        assert result.made_by == Maker("docker", True, True, server=str(endpoint))
        # And then it is known there, too.
        asked = service.calls["GetActionResult"]
        with machine(tmp_path / "two", endpoint) as again:
            again.runner.run(CHAIN)
        assert service.calls["GetActionResult"] == asked


def test_what_was_made_without_isolation_is_not_offered(tmp_path: Path) -> None:
    service = Service()
    with serving(service) as endpoint, machine(tmp_path / "one", endpoint, HostExecutor) as one:
        one.runner.run(CHAIN)
    assert not service.results
    assert not service.blobs


@pytest.mark.parametrize(
    "method", ["GetActionResult", "GetCapabilities", "FindMissingBlobs", "UpdateActionResult"]
)
def test_a_service_that_is_gone_is_done_without_and_told_once(tmp_path: Path, method: str) -> None:
    service = Service(
        fail=lambda called, _: grpc.StatusCode.UNAVAILABLE if called == method else None
    )
    with serving(service) as endpoint, machine(tmp_path / "one", endpoint) as one:
        one.runner.run(CHAIN)
    assert sorted(one.ran) == ["first", "second"]
    (warning,) = one.reporter.warnings
    assert "cannot be used" in warning
    assert "goes on without it" in warning


def test_nobody_listening_is_told_once(tmp_path: Path) -> None:
    with serving(Service()) as endpoint:
        pass
    with machine(tmp_path / "one", endpoint) as one:
        one.runner.run(CHAIN)
    assert sorted(one.ran) == ["first", "second"]
    assert len(one.reporter.warnings) == 1


def test_a_full_store_ends_offering_and_not_asking(tmp_path: Path) -> None:
    service = Service(capacity_bytes=1000)
    with serving(service) as endpoint, machine(tmp_path / "one", endpoint) as one:
        one.runner.run(CHAIN)
    (warning,) = one.reporter.warnings
    assert "only read from now on" in warning
    assert "full" in warning
    assert service.calls["GetActionResult"] == 2


@pytest.mark.parametrize("how", ["capability", "refusal"])
def test_a_service_that_takes_nothing_from_clients_is_read(tmp_path: Path, how: str) -> None:
    refused = grpc.StatusCode.PERMISSION_DENIED

    def fail(called: str, _count: int) -> grpc.StatusCode | None:
        return refused if how == "refusal" and called == "UpdateActionResult" else None

    service = Service(cache_updates=how != "capability", fail=fail)
    with serving(service) as endpoint, machine(tmp_path / "one", endpoint) as one:
        one.runner.run(CHAIN)
    assert one.reporter.warnings == []
    (note,) = one.reporter.notes
    assert "only read from now on" in note


def test_a_wrong_token_is_one_clear_message(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("wrong")
    service = Service(token="right")
    with serving(service) as endpoint:
        with machine(tmp_path / "one", endpoint, token=token) as one:
            one.runner.run(CHAIN)
        (warning,) = one.reporter.warnings
        assert "UNAUTHENTICATED: not allowed" in warning
        assert not service.results
        token.write_text("right\n")
        with machine(tmp_path / "two", endpoint, token=token) as two:
            two.runner.run(CHAIN)
        assert len(service.results) == 2


def _spoil_name(service: Service) -> None:
    for result in service.results.values():
        result.output_files[0].path = "../elsewhere"


def _spoil_digest(service: Service) -> None:
    for result in service.results.values():
        result.output_files[0].digest.hash = "not a digest"


def _spoil_code(service: Service) -> None:
    for result in service.results.values():
        result.exit_code = 1


def _spoil_content(service: Service) -> None:
    service.corrupt = lambda _digest, data: data + b"!"


def _lose_blobs(service: Service) -> None:
    service.blobs.clear()


@pytest.mark.parametrize(
    "spoil", [_spoil_name, _spoil_digest, _spoil_code, _spoil_content, _lose_blobs]
)
def test_a_result_that_cannot_be_right_is_made_again(tmp_path: Path, spoil: object) -> None:
    assert callable(spoil)
    service = Service()
    with serving(service) as endpoint:
        with machine(tmp_path / "one", endpoint) as one:
            made = one.runner.run(CHAIN)
        spoil(service)
        with machine(tmp_path / "two", endpoint) as two:
            found = two.runner.run(CHAIN)
    assert sorted(two.ran) == ["first", "second"]
    assert {name: result.outputs for name, result in made.items()} == {
        name: result.outputs for name, result in found.items()
    }
    assert any("cannot be used" in warning for warning in two.reporter.warnings)


def test_nothing_of_this_machine_is_told_to_others(tmp_path: Path) -> None:
    service = Service()
    with serving(service) as endpoint, machine(tmp_path / "one", endpoint) as one:
        result = one.runner.run([CHAIN[1]])["second"]
    message = service.results[result.action.sha256]
    assert message.execution_metadata.worker == ""
    assert Digest(result.action.sha256, result.action.size_bytes) in service.blobs
    assert not any(str(tmp_path).encode() in blob for blob in service.blobs.values())
