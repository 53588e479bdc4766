"""The action cache of a remote service, as the runner uses it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import grpc
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2 as api,
)
from buildgrid.common.protos.build.bazel.remote.execution.v2 import (
    remote_execution_pb2_grpc as services,
)

from toolchain.actions.action import PreparedAction
from toolchain.actions.action_cache import ActionResult
from toolchain.actions.store import Store
from toolchain.errors import CacheCorruptError, CancelledError
from toolchain.remote.blobs import BlobRefusedError, Blobs, missing_in
from toolchain.remote.connection import REFUSALS, Connection, reason_of, service_error, status_of
from toolchain.remote.messages import (
    UnusableResultError,
    from_digest,
    from_result,
    to_outputs,
    to_result,
)

if TYPE_CHECKING:
    from toolchain.console import Reporter

_NOT_ALLOWED = frozenset({*REFUSALS, grpc.StatusCode.UNIMPLEMENTED})
_GONE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})


class RemoteCache:
    """A shared cache; see ``toolchain.actions.executor.SharedCache``.

    The first failure that retries do not mend is told, and from then on the service is not asked
    any more: a build must not wait for a dead service once for each step.

    Args:
        connection: to the service; closed with this.
        store: the local one.
        reporter: told what cannot be done, once.
        offers: whether results made here are offered to the service.
        required: whether a failure to look up is raised: for the cache of an executor, without
            which nothing goes on anyway.
    """

    def __init__(
        self,
        connection: Connection,
        store: Store,
        reporter: Reporter,
        *,
        offers: bool = True,
        required: bool = False,
    ) -> None:
        self._connection = connection
        self._server = str(connection.endpoint)
        self._reporter = reporter
        self._offers = offers
        self._required = required
        self._cache = services.ActionCacheStub(connection.channel)
        self.blobs = Blobs(connection, store)
        self._guard = threading.Lock()
        self._asks = True

    def look_up(self, action: PreparedAction) -> ActionResult | None:
        """Return the result of ``action`` where the service knows it."""
        if not self._asks:
            return None
        request = api.GetActionResultRequest(
            instance_name=self._connection.endpoint.instance,
            action_digest=from_digest(action.digest),
        )
        try:
            message = self._connection.call(self._cache.GetActionResult, request)
            outputs = to_outputs(message, action.step.outputs)
            self.blobs.download(outputs.values())
        except grpc.RpcError as error:
            if missing_in(error):
                return None
            if self._required:
                raise service_error(error, self._connection.endpoint) from error
            self._stop_asking(error)
            return None
        except UnusableResultError as error:
            self._reporter.warning(
                f"the remote cache's result of '{action.step.name}' cannot be used: {error}; "
                "the step is run"
            )
            return None
        return to_result(message, outputs, self._server)

    def keep(self, action: PreparedAction, result: ActionResult) -> None:
        """Offer a result that a sandbox of this machine made with the pinned tools."""
        made_by = result.made_by
        if not self._offers or made_by.server:
            return
        if not (made_by.isolated and made_by.pinned):
            return
        try:
            if not self.blobs.capabilities().cache_updates:
                self._stop_offering("it takes no results from clients", expected=True)
                return
            self.blobs.upload(
                {action.digest, action.command_digest, *result.outputs.values()},
            )
            request = api.UpdateActionResultRequest(
                instance_name=self._connection.endpoint.instance,
                action_digest=from_digest(action.digest),
                action_result=from_result(result, worker=""),
            )
            self._connection.call(self._cache.UpdateActionResult, request)
        except grpc.RpcError as error:
            if status_of(error) in _GONE:
                self._stop_asking(error)
            else:
                expected = status_of(error) in _NOT_ALLOWED
                self._stop_offering(reason_of(error), expected=expected)
        except (BlobRefusedError, CacheCorruptError) as error:
            self._stop_offering(str(error), expected=False)
        except CancelledError:
            # The result is made, and kept here: what was stopped is only telling others.
            return

    def cancel(self) -> None:
        """End every transfer."""
        self._connection.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _stop_asking(self, error: grpc.RpcError) -> None:
        with self._guard:
            said, self._asks, self._offers = not self._asks, False, False
        if not said:
            self._reporter.warning(
                f"the remote cache {self._server} cannot be used ({reason_of(error)}); the build "
                "goes on without it"
            )

    def _stop_offering(self, why: str, *, expected: bool) -> None:
        with self._guard:
            said, self._offers = not self._offers, False
        if said:
            return
        # That only some may store results is how a service is best run.
        say = self._reporter.note if expected else self._reporter.warning
        say(f"the remote cache {self._server} is only read from now on: {why}")
