"""Asks Debian's mirror and an image registry, as making an image would: through the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from toolchain.errors import ToolchainError
from toolchain.layout import Layout

Answer: TypeAlias = Literal["answers", "does not answer", "not asked"]


@dataclass(frozen=True)
class Asked:
    """What came of asking; ``why`` tells what was said, or why nothing was asked."""

    answer: Answer
    why: str = ""


def ask_mirror(layout: Layout, environ: Mapping[str, str]) -> Asked:
    """Ask Debian's mirror for the suite's index, in a container of the base image.

    Nothing is started or made for it: without an engine that answers, or without that image, it is
    not asked.
    """
    from toolchain.engine.connection import answering_engine
    from toolchain.images import debian, image_name, project_pins
    from toolchain.images.container import open_fetch_container
    from toolchain.images.definition import image_content
    from toolchain.images.ensure import is_present
    from toolchain.images.site import site_settings

    pins = project_pins(layout)
    base = image_name("base", pins, layout)
    with answering_engine(layout, environ=environ) as engine:
        if engine is None:
            return Asked("not asked", "no engine answers, whose container would ask it")
        if not is_present(engine, base, image_content("base", pins, layout)):
            return Asked("not asked", "the base image, which asks it, is not made yet")
        try:
            with open_fetch_container(engine, base, layout, site_settings(environ)) as container:
                debian.update_index(container, pins.debian.suite, once=True)
        except ToolchainError as error:
            return Asked("does not answer", error.why.partition(";")[0])
    return Asked("answers")


def ask_image_registry(layout: Layout, environ: Mapping[str, str]) -> Asked:
    """Ask the registry that ``TOOLCHAIN_REGISTRY`` names about this checkout's base image."""
    from docker.errors import APIError, DockerException, NotFound
    from requests.exceptions import RequestException

    from toolchain.engine.connection import answering_engine
    from toolchain.images import image_name, project_pins
    from toolchain.images.sharing import REGISTRY_VARIABLE, check_registry

    registry = check_registry(environ[REGISTRY_VARIABLE])
    with answering_engine(layout, environ=environ) as engine:
        if engine is None:
            return Asked("not asked", "no engine answers, which would ask it")
        name = f"{registry}/{image_name('base', project_pins(layout), layout)}"
        try:
            engine.client.api.inspect_distribution(name)
        except NotFound:
            return Asked("answers", "it does not have this checkout's images")
        except APIError as error:
            said = str(error.explanation or error)
            # A registry says the same of what it does not have and of what it does not show.
            if "manifest unknown" in said or "denied" in said:
                return Asked("answers", "it does not have this checkout's images, or hides them")
            return Asked("does not answer", said[:200])
        except (DockerException, RequestException) as error:
            return Asked("does not answer", str(error)[:200])
    return Asked("answers", "it has this checkout's images")
