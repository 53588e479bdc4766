"""Opens the Docker Engine that the images and steps run on."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.console import Reporter
from toolchain.engine.advice import START_ADVICE, install_advice, permission_advice
from toolchain.engine.discovery import DEFAULT_SOCKET, Candidate, candidates
from toolchain.engine.host_packages import install_packages, may_install
from toolchain.environment import NO_INSTALL_VARIABLE
from toolchain.errors import EngineTooOldError, EngineUnavailableError
from toolchain.layout import Layout
from toolchain.pins import PINS_FILE, load_pins

PROBE_SECONDS = 10
CALL_SECONDS = 1800
"""How long a single answer of the engine may take; a build step can be silent for minutes."""

_SERVICE_SECONDS = 15.0
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
PLATFORM = "linux/amd64"
_X86_64 = {"x86_64", "amd64"}


@dataclass(frozen=True)
class Engine:
    """An open connection to a Docker Engine on this machine.

    Attributes:
        client: ``docker.DockerClient``.
        origin: how it was found, for messages.
        version: version of the engine.
        api_version: API version spoken, such as ``1.41``.
        rootless: whether the engine runs without root, so that a container's root is the user.
        private: whether it is ours and stops with us.
        architecture: of the engine's machine, such as ``x86_64``; images are always linux/amd64.
        data_root: folder of the engine's images; on another file system view it may not exist here.
        address: where it was found.
    """

    client: Any
    origin: str
    version: str
    api_version: str
    rootless: bool
    private: bool
    architecture: str
    data_root: Path
    address: Candidate

    @property
    def foreign_platform(self) -> str | None:
        """The images' platform where the engine has to be told; None on x86-64."""
        return None if self.architecture in _X86_64 else PLATFORM

    def with_timeout(self, seconds: int) -> Any:
        """Return a further client whose reads end after ``seconds`` of silence."""
        return _client(self.address, seconds)

    @contextmanager
    def builder(self) -> Iterator[Any]:
        """Yield a further client whose builds hand out none of the user's registry passwords.

        By default the SDK sends all of them with every build, and fails where the program that
        keeps them is missing, as Docker Desktop's is in many a Linux under Windows.
        """
        client = _client(self.address, CALL_SECONDS)
        try:
            with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as settings:
                # With none at all the SDK would read the user's file once more.
                json.dump({"auths": {"nowhere.invalid": {}}}, settings)
                settings.flush()
                client.api.reload_config(settings.name)
            yield client
        finally:
            client.close()


class _NoAnswerError(Exception):
    """The address does not answer; the text says why."""


def _client(candidate: Candidate, seconds: int) -> Any:
    import docker

    return docker.DockerClient(
        base_url=candidate.url, version="auto", timeout=seconds, tls=candidate.tls or False
    )


def api_number(version: str) -> tuple[int, ...]:
    """Return an API version in comparable form: ``1.41`` gives (1, 41).

    Raises:
        ValueError: it is not numbers with dots.
    """
    return tuple(int(part) for part in version.split("."))


def _connect(candidate: Candidate, minimum_api: str, *, private: bool = False) -> Engine:
    from docker.errors import DockerException, InvalidVersion
    from requests.exceptions import RequestException

    if not candidate.url:
        raise _NoAnswerError("there is no such context")
    if not candidate.local:
        raise EngineUnavailableError(
            f"{candidate.origin} is not on this machine",
            why="steps read and write this machine's folders through bind mounts, which only an "
            "engine here can do: at unix://, npipe:// or tcp:// to localhost",
            next_step="use a local engine: unset DOCKER_HOST, or docker context use default",
        )
    try:
        client = _client(candidate, PROBE_SECONDS)
        api = client.api.api_version
        if api_number(api) < api_number(minimum_api):
            raise _too_old(candidate, f"API {api}", minimum_api)
        about = client.info()
        version = client.version().get("Version", "unknown")
    except InvalidVersion as error:
        # The SDK's own limit, which it names.
        limit = re.search(r"\d+\.\d+", str(error))
        spoken = f"an API below {limit[0]}" if limit else f"another API ({error})"
        raise _too_old(candidate, spoken, minimum_api) from error
    except (DockerException, RequestException, OSError, ValueError) as error:
        raise _NoAnswerError(str(error)) from error
    client.api.timeout = CALL_SECONDS
    return Engine(
        client=client,
        origin=candidate.origin,
        version=version,
        api_version=api,
        rootless=any("name=rootless" in item for item in about.get("SecurityOptions") or ()),
        private=private,
        architecture=about.get("Architecture", "unknown"),
        data_root=Path(about.get("DockerRootDir") or "/var/lib/docker"),
        address=candidate,
    )


def _too_old(candidate: Candidate, spoken: str, minimum_api: str) -> EngineTooOldError:
    return EngineTooOldError(
        f"the Docker Engine of {candidate.origin} is too old",
        why=f"it speaks {spoken}, and API {minimum_api} is needed (Docker 20.10 or newer)",
        next_step=f"update it, for example: {install_advice()}",
    )


def find_dockerd(environ: Mapping[str, str]) -> Path | None:
    """Return the engine's program, also from folders that are only in root's PATH."""
    path = os.pathsep.join([environ.get("PATH", ""), _SYSTEM_FOLDERS])
    found = shutil.which("dockerd", path=path)
    return Path(found) if found else None


def _unavailable(failures: list[tuple[Candidate, str]], next_step: str) -> EngineUnavailableError:
    tried = "; ".join(f"{candidate.origin}: {why}" for candidate, why in failures)
    return EngineUnavailableError(
        "no Docker Engine answers", why=f"tried {tried}", next_step=next_step
    )


def _advice(environ: Mapping[str, str]) -> str:
    if platform.system() == "Linux" and find_dockerd(environ) is not None:
        return f"Docker is installed; start it: {START_ADVICE}"
    return install_advice()


def _get_dockerd(
    failures: list[tuple[Candidate, str]], reporter: Reporter, environ: Mapping[str, str]
) -> Path:
    """Return dockerd, installed first where that is allowed."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        raise _unavailable(failures, _advice(environ))
    dockerd = find_dockerd(environ)
    if dockerd is not None:
        return dockerd
    if not may_install(environ):
        forbidden = environ.get(NO_INSTALL_VARIABLE) == "1"
        reason = f" ({NO_INSTALL_VARIABLE}=1 forbids doing it here)" if forbidden else ""
        raise _unavailable(failures, install_advice() + reason)
    problem = install_packages(
        ["docker.io"], "because no Docker Engine is installed", reporter, environ
    )
    dockerd = find_dockerd(environ)
    if problem or dockerd is None:
        raise EngineUnavailableError(
            "docker.io could not be installed",
            why=problem or "the package has no dockerd",
            next_step="apt-get update && apt-get install docker.io, and see what it says",
        )
    return dockerd


def _service_answers() -> bool:
    """Return whether a freshly installed package's service comes up by itself."""
    from toolchain.engine.private import answers

    if not Path("/run/systemd/system").is_dir():
        return answers(DEFAULT_SOCKET)
    deadline = time.monotonic() + _SERVICE_SECONDS
    while not answers(DEFAULT_SOCKET):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


@contextmanager
def open_engine(
    layout: Layout, reporter: Reporter, *, environ: Mapping[str, str] = os.environ
) -> Iterator[Engine]:
    """Open the Docker Engine to use, starting a private one where none answers.

    In this order: ``DOCKER_HOST``, ``DOCKER_CONTEXT`` or the current context, the default socket.
    If none answers and we are root on Linux: dockerd is started with its own socket, data and run
    folder under ``layout.engine``, and stopped when the last command that uses it ends; on
    Debian-family machines ``docker.io`` is installed for that unless ``TOOLCHAIN_NO_INSTALL=1``.

    Yields:
        The engine; its client is closed at the end.

    Raises:
        EngineUnavailableError: no engine answers and none may or can be started, or it is on
            another machine, or its socket may not be opened.
        EngineTooOldError: the engine's API is older than the pinned minimum.
        PinsError: ``pins.toml`` cannot be read.
    """
    minimum_api = load_pins(layout.project / PINS_FILE).engine.minimum_api
    with ExitStack() as stack:
        engine = _find(layout, reporter, environ, minimum_api, stack)
        stack.callback(engine.client.close)
        if engine.architecture not in _X86_64:
            reporter.warning(
                f"the Docker Engine runs on {engine.architecture}; the images are linux/amd64 and "
                "need its emulation, which is slow"
            )
        yield engine


@contextmanager
def answering_engine(
    layout: Layout, *, environ: Mapping[str, str] = os.environ
) -> Iterator[Engine | None]:
    """Give the engine that answers now, started by whomever; None where none does.

    Nothing is started or installed.

    Raises:
        EngineUnavailableError: the one that was chosen is on another machine, or may not be opened.
        EngineTooOldError: its API is older than the pinned minimum.
        PinsError: ``pins.toml`` cannot be read.
    """
    from toolchain.engine.private import private_paths

    minimum_api = load_pins(layout.project / PINS_FILE).engine.minimum_api
    own = private_paths(layout).socket
    places = [(each, False) for each in candidates(environ)]
    if own.exists():
        places.append((Candidate("a private engine", f"unix://{own}"), True))
    for candidate, private in places:
        try:
            engine = _connect(candidate, minimum_api, private=private)
        except _NoAnswerError:
            continue
        try:
            yield engine
        finally:
            engine.client.close()
        return
    yield None


def _find(
    layout: Layout,
    reporter: Reporter,
    environ: Mapping[str, str],
    minimum_api: str,
    stack: ExitStack,
) -> Engine:
    failures: list[tuple[Candidate, str]] = []
    for candidate in candidates(environ):
        try:
            return _connect(candidate, minimum_api)
        except _NoAnswerError as error:
            if candidate.socket is not None and "Permission denied" in str(error):
                raise EngineUnavailableError(
                    f"the Docker Engine's socket {candidate.socket} may not be opened",
                    why="permission denied: this user is not in the group that owns it",
                    next_step=permission_advice(str(candidate.socket)),
                ) from error
            failures.append((candidate, _short(error)))
    installed = find_dockerd(environ) is not None
    dockerd = _get_dockerd(failures, reporter, environ)
    for candidate, why in failures:
        if candidate.chosen:
            reporter.warning(f"{candidate.origin} does not answer ({why}); using a private engine")
    if not installed and _service_answers():
        service = Candidate("the installed service", f"unix://{DEFAULT_SOCKET}")
        return _connect_started(service, minimum_api, private=False)

    from toolchain.engine.private import private_engine

    socket = stack.enter_context(private_engine(layout, dockerd, reporter, environ))
    started = Candidate("a private engine", f"unix://{socket}")
    return _connect_started(started, minimum_api, private=True)


def _connect_started(candidate: Candidate, minimum_api: str, *, private: bool) -> Engine:
    try:
        return _connect(candidate, minimum_api, private=private)
    except _NoAnswerError as error:
        raise _unavailable([(candidate, _short(error))], install_advice()) from error


def _short(error: Exception) -> str:
    """Return the innermost reason of the SDK's nested message."""
    text = str(error)
    for known in ("No such file or directory", "Connection refused", "Permission denied"):
        if known in text:
            return known
    return text[-160:]
