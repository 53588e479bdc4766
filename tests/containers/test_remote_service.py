"""The service of ``./invoke remote up``, workers of ``./invoke worker``, and what befalls them.

Everything is real: BuildGrid, PostgreSQL and Redis in containers, workers in processes of their
own, actions in sandboxes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import jwt
import pytest
from buildgrid.common.protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as api
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2_grpc as services,
)
from buildgrid.common.protos.google.devtools.remoteworkers.v1test2 import bots_pb2, bots_pb2_grpc

from tests.containers.remote_support import (
    Started,
    WorkerProcess,
    client,
    invoke,
    run,
    shell,
    started,
    worker,
)
from toolchain.actions.store import Store
from toolchain.engine import Engine
from toolchain.errors import (
    RemoteExecutionError,
    RemoteRefusedError,
    StepFailedError,
    StepTimeoutError,
    UsageError,
)
from toolchain.layout import Layout
from toolchain.remote.blobs import Blobs
from toolchain.remote.connection import Connection, status_of
from toolchain.remote.keeper import keeper_paths
from toolchain.remote.service import identity
from toolchain.remote.service_config import ALLOWED
from toolchain.remote.settings import Credentials


@pytest.fixture(scope="module")
def service(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    os.environ.setdefault("DOCKER_HOST", engine.address.url)
    with started(tmp_path_factory.mktemp("service"), "--tokens") as running:
        yield running


@pytest.fixture(scope="module")
def workers(
    service: Started,
    cross_image: str,
    train_image: str,
    host_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WorkerProcess]:
    """A worker with two slots, for what does not harm it."""
    del cross_image, train_image, host_image
    with worker(tmp_path_factory.mktemp("worker"), service, "steady", slots=2) as running:
        running.wait_for("working for")
        yield running


def container(service: Started, part: str) -> str:
    return f"tinyml-remote-{identity(Layout(Path('/'), service.cache))}-{part}"


def restart(engine: Engine, service: Started, part: str) -> None:
    engine.client.containers.get(container(service, part)).restart(timeout=5)


def test_status_tells_how_it_is_and_a_second_up_changes_nothing(service: Started) -> None:
    import json

    done = invoke(service.cache, "remote-status", "--json")
    found = json.loads(done.stdout)
    assert found["running"]
    assert found["executes"]
    assert found["tokens"]
    assert found["endpoint"] == str(service.endpoint)
    assert found["parts"] == {"database": "running", "keys": "running", "server": "running"}
    port = str(service.endpoint.port)
    again = invoke(service.cache, "remote-up", "--port", port, "--workers", "0", "--tokens")
    assert again.returncode == 0, again.stderr
    other = invoke(service.cache, "remote-up", "--port", port, "--workers", "3", "--tokens")
    assert other.returncode == 50
    assert "runs already" in other.stderr
    logs = invoke(service.cache, "remote-logs")
    assert "Starting BuildGrid server" in logs.stdout


@pytest.mark.usefixtures("workers")
def test_an_action_runs_on_a_worker_and_is_known_to_all(
    service: Started, cross_image: str, tmp_path: Path
) -> None:
    step = shell("greet", cross_image, "cat /project/input > /out/out; id -u >> /out/out")
    with client(tmp_path / "one", service) as runner:
        assert run(runner, [step]) == {"greet": b"greet65534\n"}
        (record,) = runner.records
        assert record.made_by.worker.startswith("steady-")
        assert record.made_by.server == str(service.endpoint)
        assert not record.cached
    with client(tmp_path / "two", service) as runner:
        assert run(runner, [step]) == {"greet": b"greet65534\n"}
        (record,) = runner.records
        assert record.cached


@pytest.mark.usefixtures("workers")
def test_the_sandbox_is_the_same_as_for_local_steps(
    service: Started, cross_image: str, tmp_path: Path
) -> None:
    script = (
        "if touch /project/x 2> /dev/null; then exit 1; fi; "
        "if touch /x 2> /dev/null; then exit 2; fi; "
        'test "$(ls /sys/class/net)" = lo || exit 3; '
        "echo $SOURCE_DATE_EPOCH $TZ $(pwd) > /out/out"
    )
    with client(tmp_path, service) as runner:
        assert run(runner, [shell("look", cross_image, script)]) == {
            "look": b"315619200 UTC /project\n"
        }


@pytest.mark.usefixtures("workers")
def test_a_failing_command_is_told_with_its_words_and_not_cached(
    service: Started, cross_image: str, tmp_path: Path
) -> None:
    step = shell("fail", cross_image, "echo on the way; echo no such thing >&2; exit 7")
    for _ in range(2):
        with client(tmp_path, service) as runner, pytest.raises(StepFailedError) as caught:
            runner.run([step])
        assert "exit code 7" in caught.value.what
        assert "no such thing" in caught.value.what
    log = tmp_path / "project" / "build" / "logs" / "fail.log"
    assert "on the way" in log.read_text()


@pytest.mark.usefixtures("workers")
def test_the_workers_keep_to_the_time_limit(
    service: Started, cross_image: str, tmp_path: Path
) -> None:
    step = shell("sleep", cross_image, "sleep 60; touch /out/out", timeout_seconds=2)
    with client(tmp_path, service) as runner, pytest.raises(StepTimeoutError):
        runner.run([step])


@pytest.mark.usefixtures("workers")
def test_an_image_that_no_worker_has_is_waited_for_no_longer_than_told(
    service: Started, tmp_path: Path
) -> None:
    step = shell("other", "tinyml-toolchain/cross:0123456789abcdef01234567", "touch /out/out")
    with (
        client(tmp_path, service, queue_limit=2) as runner,
        pytest.raises(RemoteExecutionError) as caught,
    ):
        runner.run([step])
    assert "no worker" in caught.value.what
    assert "./invoke worker" in caught.value.next_step


def test_eight_clients_with_the_same_build_execute_each_action_once(
    service: Started, workers: WorkerProcess, cross_image: str, tmp_path: Path
) -> None:
    steps = [
        shell(f"same {number}", cross_image, "sleep 1; cat /project/input > /out/out")
        for number in range(4)
    ]
    before = workers.count(" done, ")
    found: list[dict[str, bytes]] = []
    errors: list[BaseException] = []

    def go(number: int) -> None:
        try:
            with client(tmp_path / str(number), service) as runner:
                found.append(run(runner, steps))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=go, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors
    assert found == [{step.name: step.name.encode() for step in steps}] * 8
    # What the service leased twice was known the second time.
    assert workers.count(" done, ") - before == len(steps)


@pytest.mark.parametrize("part", ["server", "database", "keys"])
def test_a_restart_under_load_loses_nothing(
    engine: Engine,
    service: Started,
    workers: WorkerProcess,
    cross_image: str,
    tmp_path: Path,
    part: str,
) -> None:
    del workers
    steps = [
        shell(f"{part} {number}", cross_image, "sleep 1; cat /project/input > /out/out")
        for number in range(6)
    ]
    found: list[dict[str, bytes]] = []

    def go() -> None:
        with client(tmp_path / "one", service) as runner:
            found.append(run(runner, steps))

    thread = threading.Thread(target=go)
    thread.start()
    time.sleep(1.5)
    restart(engine, service, part)
    thread.join(120)
    assert found == [{step.name: step.name.encode() for step in steps}]
    # And what was done is known afterwards, too.
    with client(tmp_path / "two", service) as runner:
        run(runner, steps)
        assert [record.cached for record in runner.records] == [True] * len(steps)


def test_a_client_that_goes_leaves_nothing_that_hinders_others(
    service: Started, workers: WorkerProcess, cross_image: str, tmp_path: Path
) -> None:
    del workers
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from tests.containers.remote_support import *
service = Started(Path({str(service.cache)!r}), parse_endpoint({str(service.endpoint)!r}, "test"))
with client(Path({str(tmp_path / "gone")!r}), service) as runner:
    print("started", flush=True)
    run(runner, [shell("gone", {cross_image!r}, "sleep 3; cat /project/input > /out/out")])
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    time.sleep(1.5)
    process.kill()
    process.wait()
    with client(tmp_path / "next", service) as runner:
        step = shell("gone", cross_image, "sleep 3; cat /project/input > /out/out")
        assert run(runner, [step]) == {"gone": b"gone"}


def _calls(service: Started, credentials: Credentials) -> dict[str, grpc.StatusCode]:
    """Return what the service answers to each call of some that matter."""
    connection = Connection(service.endpoint, credentials)
    digest = api.Digest(hash="0" * 64, size_bytes=1)
    made = {
        "UpdateActionResult": (
            services.ActionCacheStub(connection.channel).UpdateActionResult,
            api.UpdateActionResultRequest(action_digest=digest, action_result=api.ActionResult()),
        ),
        "GetActionResult": (
            services.ActionCacheStub(connection.channel).GetActionResult,
            api.GetActionResultRequest(action_digest=digest),
        ),
        "FindMissingBlobs": (
            services.ContentAddressableStorageStub(connection.channel).FindMissingBlobs,
            api.FindMissingBlobsRequest(blob_digests=[digest]),
        ),
        "CreateBotSession": (
            bots_pb2_grpc.BotsStub(connection.channel).CreateBotSession,
            bots_pb2.CreateBotSessionRequest(
                bot_session=bots_pb2.BotSession(bot_id="probe", status=bots_pb2.BotStatus.UNHEALTHY)
            ),
        ),
    }
    found = {}
    for name, (method, request) in made.items():
        try:
            method(request, timeout=10, metadata=connection.metadata)
            found[name] = grpc.StatusCode.OK
        except grpc.RpcError as error:
            found[name] = status_of(error)
    stream = services.ExecutionStub(connection.channel).Execute(
        api.ExecuteRequest(action_digest=digest), timeout=10, metadata=connection.metadata
    )
    try:
        next(iter(stream))
        found["Execute"] = grpc.StatusCode.OK
    except grpc.RpcError as error:
        found["Execute"] = status_of(error)
    connection.close()
    return found


NOT_LET_IN = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


@pytest.mark.parametrize("role", ["client", "worker", "writer"])
def test_each_role_may_do_its_own_and_nothing_else(service: Started, role: str) -> None:
    for call, code in _calls(service, service.credentials(role)).items():
        allowed = call in ALLOWED[role]  # type: ignore[index]
        assert (code not in NOT_LET_IN) == allowed, (call, code)


def _token(tmp_path: Path, claims: dict[str, object], secret: str) -> Credentials:
    path = tmp_path / "token"
    path.write_text(jwt.encode(claims, secret, "HS256"))
    return Credentials(path)


def test_without_a_right_token_nothing_is_let_in(service: Started, tmp_path: Path) -> None:
    secret = keeper_paths(Layout(tmp_path, service.cache)).secret.read_text()
    good = {"sub": "client/x", "aud": "tinyml-toolchain", "exp": int(time.time()) + 600}
    assert grpc.StatusCode.OK in _calls(service, _token(tmp_path, good, secret)).values()
    wrong = [
        (good, "f" * 64),
        ({**good, "aud": "another"}, secret),
        ({**good, "sub": "nobody"}, secret),
        ({**good, "sub": "clients"}, secret),
        ({name: value for name, value in good.items() if name != "exp"}, secret),
    ]
    for claims, key in wrong:
        answers = _calls(service, _token(tmp_path, claims, key))
        assert set(answers.values()) <= NOT_LET_IN, claims
    assert set(_calls(service, Credentials()).values()) <= NOT_LET_IN
    expired = _token(tmp_path, {**good, "exp": int(time.time()) - 1}, secret)
    with pytest.raises(RemoteRefusedError, match="has expired"):
        Connection(service.endpoint, expired)


def test_a_poisoned_cache_entry_cannot_be_made_by_a_client(
    service: Started, tmp_path: Path
) -> None:
    connection = Connection(service.endpoint, service.credentials("client"))
    store = Store(tmp_path / "cas")
    blob = store.put_bytes(b"not what the action makes")
    Blobs(connection, store).upload([blob])
    action = api.Digest(hash="1" * 64, size_bytes=100)
    result = api.ActionResult()
    result.output_files.add(
        path="out", digest=api.Digest(hash=blob.sha256, size_bytes=blob.size_bytes)
    )
    stub = services.ActionCacheStub(connection.channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.UpdateActionResult(
            api.UpdateActionResultRequest(action_digest=action, action_result=result),
            metadata=connection.metadata,
        )
    assert status_of(caught.value) in NOT_LET_IN
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetActionResult(
            api.GetActionResultRequest(action_digest=action), metadata=connection.metadata
        )
    assert status_of(caught.value) is grpc.StatusCode.NOT_FOUND
    connection.close()


def test_a_token_is_made_by_the_command(service: Started) -> None:
    done = invoke(
        service.cache, "remote-token", "--role", "worker", "--holder", "ann", "--days", "2"
    )
    claims = jwt.decode(done.stdout.strip(), options={"verify_signature": False})
    assert claims["sub"] == "worker/ann"
    assert claims["exp"] - claims["iat"] == 2 * 86400
    assert (
        invoke(service.cache, "remote-token", "--role", "king").returncode == UsageError.exit_code
    )


@pytest.mark.usefixtures("workers")
def test_a_blob_that_the_services_disk_changed_is_not_taken(
    engine: Engine, service: Started, cross_image: str, tmp_path: Path
) -> None:
    step = shell("spoilt", cross_image, "echo right > /out/out")
    with client(tmp_path / "one", service) as runner:
        (result,) = runner.run([step]).values()
        (digest,) = result.outputs.values()
    server = engine.client.containers.get(container(service, "server"))
    code, found = server.exec_run(["find", "/state/cas", "-name", f"*{digest.sha256[2:]}*"])
    (path,) = found.decode().split()
    code, said = server.exec_run(
        ["/bin/sh", "-c", f"rm -f {path} && printf wrong! > {path}"], user="65534"
    )
    assert code == 0, said
    with client(tmp_path / "two", service) as runner:
        with pytest.raises(RemoteExecutionError, match="is something else"):
            runner.run([step])
        assert not runner.store.contains(digest)
