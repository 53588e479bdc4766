"""The base image: pulled by digest where an image registry answers, else bootstrapped."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from toolchain.console import Reporter, is_verbose
from toolchain.disk import says_disk_full
from toolchain.engine.connection import CALL_SECONDS, Engine
from toolchain.engine.host_packages import install_packages, may_install
from toolchain.engine.sdk_errors import sdk_errors
from toolchain.errors import DiskFullError, ImageBuildError
from toolchain.images.definition import (
    BASE_EPOCH,
    BASE_EXCLUDES,
    CONTENT_LABEL,
    KIND_LABEL,
)
from toolchain.images.faults import LAST_LINES, known_error
from toolchain.images.leftovers import BASE_PREFIX
from toolchain.images.registry import transfer, until_silent
from toolchain.images.site import DEBIAN_MIRROR_VARIABLE, site_settings
from toolchain.layout import Layout
from toolchain.pins import DebianPins
from toolchain.quoted import last_lines

PULL_SILENCE_SECONDS = 6
"""How long the engine may say nothing about a pull before the base is bootstrapped instead."""


def make_base(
    engine: Engine,
    name: str,
    content: str,
    *,
    debian: DebianPins,
    layout: Layout,
    reporter: Reporter,
    environ: Mapping[str, str],
) -> None:
    """Bring the base image into the engine under ``name``.

    Args:
        engine: where it has to be.
        name: what to call it.
        content: the full content digest, for the label.
        debian: which system.
        layout: its cache holds the archive while it is made.
        reporter: told what goes on.
        environ: proxies and mirror for mmdebstrap.

    Raises:
        NetworkError: neither an image registry nor a Debian mirror answers.
        ImageBuildError: there is no registry and no mmdebstrap, or it failed.
        DiskFullError: the disk filled up.
    """
    labels = {KIND_LABEL: "base", CONTENT_LABEL: content}
    problem = pull_base(engine, name, labels, debian, reporter)
    if not problem:
        reporter.step(f"base: pulled {debian.registry_image}")
        return
    detail = f" ({problem})" if is_verbose() else ""
    reporter.note(
        f"no image registry answers{detail}: the base is made of Debian {debian.suite}'s packages"
    )
    with tempfile.TemporaryDirectory(dir=_made(layout.cache), prefix=BASE_PREFIX) as folder:
        archive = Path(folder) / "base.tar"
        bootstrap(archive, debian, reporter, environ)
        import_base(engine, archive, name, labels)
    reporter.step(f"base: bootstrapped Debian {debian.suite}")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pull_base(
    engine: Engine,
    name: str,
    labels: Mapping[str, str],
    debian: DebianPins,
    reporter: Reporter,
    *,
    silence_seconds: float = PULL_SILENCE_SECONDS,
) -> str:
    """Pull the pinned image and name it.

    Returns:
        Empty when it is there, else why it is not.
    """
    repository = debian.registry_image.rpartition(":")[0]
    client = engine.with_timeout(CALL_SECONDS)
    silent_or_gone: tuple[type[Exception], ...] = (*sdk_errors(), TimeoutError)
    try:
        with reporter.activity(f"pulling {debian.registry_image}") as activity:
            pull = functools.partial(
                transfer,
                client.api.pull,
                repository=repository,
                tag=debian.registry_digest,
                stream=True,
                decode=True,
                platform=engine.foreign_platform,
            )
            for event in until_silent(pull, silence_seconds):
                if "error" in event:
                    return str(event["error"])[:200]
                activity.update(f"{event.get('status', '')} {event.get('progress', '')}".strip())
        # A label needs an image of its own; it shares the layers.
        lines = [f"FROM {repository}@{debian.registry_digest}"]
        lines += [f'LABEL {key}="{value}"' for key, value in labels.items()]
        _build_text(engine, "\n".join(lines), name)
    except silent_or_gone as error:
        return str(getattr(error, "explanation", None) or error)[:200]
    finally:
        client.close()
    return ""


def _build_text(engine: Engine, dockerfile: str, name: str) -> None:
    import io

    with engine.builder() as client:
        client.images.build(
            fileobj=io.BytesIO(dockerfile.encode()),
            tag=name,
            pull=False,
            rm=True,
            network_mode="none",
            platform=engine.foreign_platform,
        )


def _find_mmdebstrap(reporter: Reporter, environ: Mapping[str, str]) -> str:
    found = shutil.which("mmdebstrap", path=environ.get("PATH"))
    problem = "mmdebstrap, which makes the base image from Debian's packages, is not installed"
    if found is None and may_install(environ):
        problem = install_packages(
            ["mmdebstrap", "debian-archive-keyring"],
            "because no image registry answers and the base image is made from Debian's packages",
            reporter,
            environ,
        )
        found = shutil.which("mmdebstrap", path=environ.get("PATH"))
    if found is None:
        raise ImageBuildError(
            "the base image can neither be pulled nor made here",
            why=f"no image registry answers, and {problem or 'mmdebstrap is still missing'}",
            next_step="on Debian and Ubuntu: sudo apt-get install mmdebstrap "
            "debian-archive-keyring; elsewhere let the engine reach an image registry",
        )
    return found


def bootstrap(
    archive: Path, debian: DebianPins, reporter: Reporter, environ: Mapping[str, str]
) -> None:
    """Make the root file system of a minimal Debian as a tar archive with mmdebstrap.

    Raises:
        NetworkError: the mirror does not answer.
        ImageBuildError: mmdebstrap is missing or failed.
        DiskFullError: the disk filled up.
    """
    mirror = site_settings(environ).debian_mirror
    lines = [f"deb {mirror} {name} main" for name in (debian.suite, f"{debian.suite}-updates")]
    arguments = [
        *(_find_mmdebstrap(reporter, environ), "--variant=minbase", "--format=tar"),
        f"--architectures={debian.architecture}",
        '--aptopt=Acquire::Retries "2"',
        '--aptopt=Acquire::http::Timeout "20"',
        *(f"--dpkgopt={option}" for option in BASE_EXCLUDES),
        *(debian.suite, str(archive)),
        *(lines if mirror else ()),
    ]
    environment = dict(environ) | {"SOURCE_DATE_EPOCH": str(BASE_EPOCH), "LC_ALL": "C.UTF-8"}
    said = []
    with (
        reporter.activity(f"bootstrapping Debian {debian.suite}") as activity,
        subprocess.Popen(
            arguments,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("I: "):
                    activity.update(line[3:].strip()[:100])
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        text = "".join(said)
        raise known_error(text, f"Debian {debian.suite}") or ImageBuildError(
            f"mmdebstrap ended with {process.returncode}",
            why=f"it said last:\n{last_lines(text, LAST_LINES)}",
            next_step=f"set {DEBIAN_MIRROR_VARIABLE} if your site has a mirror of its own; "
            "inside a container, run that one privileged",
        )


def import_base(engine: Engine, archive: Path, name: str, labels: Mapping[str, str]) -> None:
    """Import a root file system as an image.

    Raises:
        ImageBuildError: the engine refuses it.
        DiskFullError: the engine's disk filled up.
    """
    from docker.errors import APIError

    repository, _, tag = name.rpartition(":")
    changes = ['CMD ["/bin/bash"]', *(f'LABEL {key}="{value}"' for key, value in labels.items())]
    try:
        engine.client.api.import_image_from_file(
            os.fspath(archive), repository=repository, tag=tag, changes=changes
        )
    except APIError as error:
        if says_disk_full(str(error)):
            raise DiskFullError(
                "the engine's disk filled up", next_step="docker system df shows what is on it"
            ) from error
        raise ImageBuildError("the engine refused the base image", why=str(error)) from error
