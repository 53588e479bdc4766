"""Pushes images to a registry by their content names, and pulls them instead of building them.

A name says what an image should have been made from, and any registry can put anything under it.
So what comes is checked before it gets its name here: its labels, its platform, the files of which
it has a record, and its identity where ``docker/shared-images.json`` or the user's cache knows it.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from toolchain.console import Reporter
from toolchain.engine.connection import CALL_SECONDS, PLATFORM, Engine
from toolchain.engine.sdk_errors import sdk_errors
from toolchain.errors import NetworkError, UsageError
from toolchain.images.definition import CONTENT_LABEL, KIND_LABEL, RECORD_FOLDER, Kind
from toolchain.images.registry import transfer, until_silent
from toolchain.images.shared_record import (
    SHARED_RECORD,
    KnownImage,
    known_image,
    project_record,
    user_record,
)
from toolchain.layout import Layout

REGISTRY_VARIABLE = "TOOLCHAIN_REGISTRY"
"""A registry, such as ``registry.example:5000/team``, that is asked before an image is built."""

SILENCE_SECONDS = 60
"""How long a registry may say nothing before an image is built instead; unpacking is silent too."""

RECORDED_KINDS: frozenset[Kind] = frozenset({"cross", "host"})
"""Images that hold the sha256 of their own files, in ``content.sha256``."""

_REGISTRY = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-][a-z0-9]+)*)*")


@dataclass(frozen=True)
class PushedImage:
    """An image that a registry has now; ``manifest`` is the digest to pull it by."""

    name: str
    reference: str
    manifest: str
    known: KnownImage


def check_registry(text: str) -> str:
    """Return the registry's address, without a slash at its end.

    Raises:
        UsageError: it cannot be one.
    """
    address = text.rstrip("/")
    if _REGISTRY.fullmatch(address) is None:
        raise UsageError(
            f"'{text}' is no address of a registry",
            next_step="give host, port and folder, such as registry.example:5000/team",
        )
    return address


def push_image(engine: Engine, registry: str, name: str, reporter: Reporter) -> PushedImage:
    """Push an image that the engine has.

    Args:
        engine: has the image.
        registry: see ``check_registry``.
        name: its content name.
        reporter: told how it goes on.

    Raises:
        NetworkError: the registry does not answer or refuses.
        docker.errors.DockerException: the engine refuses.
    """
    from docker.errors import ImageNotFound

    kind, _, tag = name.rpartition(":")
    repository = f"{registry}/{kind}"
    client = engine.with_timeout(CALL_SECONDS)
    manifest = ""
    try:
        client.images.get(name).tag(repository, tag)
        with reporter.activity(f"pushing {name}") as activity:
            for event in transfer(
                client.api.push, repository=repository, tag=tag, stream=True, decode=True
            ):
                if "error" in event:
                    raise NetworkError(
                        f"{name} could not be pushed to {registry}",
                        why=str(event["error"])[:300],
                        next_step="look at the address, and log in with docker login if it wants "
                        "a password",
                    )
                activity.update(f"{event.get('status', '')} {event.get('progress', '')}".strip())
                manifest = str((event.get("aux") or {}).get("Digest") or manifest)
        about = client.api.inspect_image(name)
    finally:
        try:
            client.api.remove_image(f"{repository}:{tag}")
        except ImageNotFound:
            pass
        finally:
            client.close()
    return PushedImage(name, f"{repository}:{tag}", manifest, known_image(about))


def pull_image(
    engine: Engine,
    registry: str,
    name: str,
    content: str,
    *,
    kind: Kind,
    layout: Layout,
    reporter: Reporter,
    silence_seconds: float = SILENCE_SECONDS,
) -> bool:
    """Pull an image by its content name, check it, and only then give it that name here.

    What goes wrong is told to the reporter: a note where the registry does not have the image, a
    warning where it has a wrong one, of which nothing is left in the engine then.

    Args:
        engine: where it has to be.
        registry: see ``check_registry``.
        name: content name.
        content: its full content digest.
        kind: its kind.
        layout: has the records of known images.
        reporter: told how it goes on and what it came to.
        silence_seconds: how long the registry may say nothing.

    Returns:
        Whether the engine has the image now.

    Raises:
        PinsError: a record cannot be understood.
    """
    repository, tag = f"{registry}/{name.rpartition(':')[0]}", name.rpartition(":")[2]
    reference = f"{repository}:{tag}"
    trusted = {**user_record(layout).read(), **project_record(layout).read()}.get(name)
    client = engine.with_timeout(CALL_SECONDS)
    silent_or_gone: tuple[type[Exception], ...] = (*sdk_errors(), TimeoutError)
    try:
        with reporter.activity(f"pulling {reference}") as activity:
            pull = functools.partial(
                transfer,
                client.api.pull,
                repository=repository,
                tag=tag,
                stream=True,
                decode=True,
                platform=engine.foreign_platform,
            )
            for event in until_silent(pull, silence_seconds):
                if "error" in event:
                    reporter.note(f"{registry} does not give {name}: {str(event['error'])[:200]}")
                    return False
                activity.update(f"{event.get('status', '')} {event.get('progress', '')}".strip())
        about = client.api.inspect_image(reference)
        problem = image_problem(client, about, kind, content, trusted)
        if problem:
            reporter.warning(
                f"the {kind} image of {registry} was refused: {problem}; it is built here instead"
            )
            return False
        client.api.tag(reference, name.rpartition(":")[0], tag)
        found = known_image(about)
    except silent_or_gone as error:
        said = str(getattr(error, "explanation", None) or error)[:200]
        reporter.note(f"{registry} does not give {name}: {said}")
        return False
    finally:
        _forget(client, reference)
        client.close()
    user_record(layout).remember({name: found})
    if trusted is None:
        reporter.note(
            f"{SHARED_RECORD} does not name {name}: it was taken on the registry's word, as "
            f"{found.config}"
        )
    reporter.step(f"{kind} image: pulled from {registry}")
    return True


def _forget(client: Any, reference: str) -> None:
    """Take the registry's name from an image; what has no other name goes."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        client.api.remove_image(reference)
    except (DockerException, RequestException):
        return


def image_problem(
    client: Any,
    about: Mapping[str, Any],
    kind: Kind,
    content: str,
    trusted: KnownImage | None,
) -> str:
    """Return why an image is not the one that was asked for; empty when it is.

    Args:
        client: of the engine that has it.
        about: what the engine says of it.
        kind: which it should be.
        content: its full content digest.
        trusted: what is known of the image of that name, if anything is.
    """
    labels = (about.get("Config") or {}).get("Labels") or {}
    if labels.get(KIND_LABEL) != kind:
        return f"it says that it is of the kind {labels.get(KIND_LABEL)}"
    if labels.get(CONTENT_LABEL) != content:
        return "it was made from something else than this checkout's definition"
    platform = f"{about.get('Os')}/{about.get('Architecture')}"
    if platform != PLATFORM:
        return f"it is for {platform}"
    found = known_image(about)
    if trusted is not None and found.identity != trusted.identity:
        return f"it is {found.config}, and {trusted.config} is known under its name"
    if kind in RECORDED_KINDS:
        return _wrong_file(client, str(about["Id"]))
    return ""


def _wrong_file(client: Any, image: str) -> str:
    """Compare the files of an image with its own record; return what is wrong, or nothing.

    The image is not run: a container is made of it, and read.
    """
    container = client.api.create_container(image, ["/nothing"], network_disabled=True)
    try:
        chunks, _ = client.api.get_archive(container, f"{RECORD_FOLDER}/content.sha256")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            member = archive.extractfile(archive.next() or tarfile.TarInfo())
            lines = member.read().decode("utf-8", "replace").splitlines() if member else []
        expected = {path.lstrip("/"): sha for sha, _, path in (x.partition("  ") for x in lines)}
        if not expected:
            return "its record of its files is empty"
        for name, digest in _file_digests(client.api.export(container)):
            if expected.pop(name, digest) != digest:
                return f"/{name} is not what its record says"
        missing = sorted(expected)
        return f"/{missing[0]} of its record is missing" if missing else ""
    except (tarfile.TarError, KeyError) as error:
        return f"its files cannot be read ({error})"
    finally:
        client.api.remove_container(container, force=True, v=True)


def _file_digests(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    with tarfile.open(fileobj=_Stream(chunks), mode="r|") as archive:
        for entry in archive:
            if entry.isfile():
                content = archive.extractfile(entry)
                assert content is not None
                seen[entry.name] = hashlib.sha256(content.read()).hexdigest()
            elif entry.islnk() and entry.linkname in seen:
                seen[entry.name] = seen[entry.linkname]
            else:
                continue
            yield entry.name, seen[entry.name]


class _Stream(io.RawIOBase):
    """Chunks as a file that can be read once."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return the next ``size`` bytes, fewer at the end only."""
        parts, found = [self._rest], len(self._rest)
        while size < 0 or found < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            found += len(chunk)
        data = b"".join(parts)
        if size < 0:
            size = len(data)
        self._rest = data[size:]
        return data[:size]
