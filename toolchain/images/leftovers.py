"""Removes what a killed command left behind while it made images.

Everything that a command makes on the way carries the identity of its cache, whose images only one
command makes at a time: who holds that lock may remove whatever else is found.
"""

from __future__ import annotations

import contextlib
import hashlib
import http
import os
import shutil
import threading
import uuid
from typing import Any

from toolchain.engine.connection import Engine
from toolchain.images.definition import WORK_LABEL
from toolchain.images.downloads import INCOMING_PREFIX
from toolchain.layout import Layout

FETCH_PREFIX = "fetch-"
BASE_PREFIX = "base-"
_REMOVAL_SECONDS = 20
# The engine refuses a second one while it prunes.
_PRUNING = threading.Lock()


def work_identity(layout: Layout) -> str:
    """Return a new name for one piece of work; it tells the cache that it is done for."""
    return f"{_cache_identity(layout)}-{uuid.uuid4().hex}"


def _cache_identity(layout: Layout) -> str:
    return hashlib.sha256(os.fsencode(layout.cache)).hexdigest()[:16]


def remove_leftovers(engine: Engine, layout: Layout) -> None:
    """Remove containers, stages and scratch files of this cache.

    To be called with the lock of the cache's images held. What cannot be removed does no harm.
    """
    api, ours = engine.client.api, _cache_identity(layout) + "-"
    for container in api.containers(all=True, filters={"label": WORK_LABEL}):
        if container["Labels"][WORK_LABEL].startswith(ours):
            _remove_container(api, container["Id"])
    stages = api.images(filters={"dangling": True, "label": WORK_LABEL})
    for work in {image["Labels"][WORK_LABEL] for image in stages}:
        if work.startswith(ours):
            remove_stages(engine, work)
    for prefix in (FETCH_PREFIX, BASE_PREFIX):
        for folder in layout.cache.glob(f"{prefix}*"):
            shutil.rmtree(folder, ignore_errors=True)
    for path in layout.downloads.glob(f"{INCOMING_PREFIX}*"):
        path.unlink(missing_ok=True)


def _remove_container(api: Any, identifier: str) -> None:
    from docker.errors import APIError
    from requests.exceptions import RequestException

    # An engine whose client was killed may be removing it at this moment.
    with contextlib.suppress(APIError, RequestException):
        try:
            api.remove_container(identifier, force=True, v=True)
        except APIError as error:
            if error.status_code == http.HTTPStatus.CONFLICT:
                api.wait(identifier, timeout=_REMOVAL_SECONDS, condition="removed")


def remove_stages(engine: Engine, work: str) -> None:
    """Remove the intermediate images of one build; what is left of one does no harm."""
    from docker.errors import DockerException

    with _PRUNING, contextlib.suppress(DockerException):
        engine.client.images.prune(filters={"dangling": True, "label": [f"{WORK_LABEL}={work}"]})
