"""What a fetching container leaves behind, whatever the engine does: nothing."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from tests.unit.actions_support import make_layout
from toolchain.images.container import open_fetch_container
from toolchain.images.site import Site

SITE = Site({}, None, None, "", "")


class Container:
    """A container of an engine that fails where it is told to."""

    id = "c0ffee"

    def __init__(self, *failing: str) -> None:
        self.failing = failing
        self.called: list[str] = []

    def _call(self, name: str) -> None:
        self.called.append(name)
        if name in self.failing:
            raise APIError(f"{name} failed")

    def start(self) -> None:
        self._call("start")

    def exec_run(self, *_: Any, **__: Any) -> None:
        self.called.append("exec_run")
        if "exec_run" in self.failing:
            raise ConnectionError("the engine is gone")

    def remove(self, **_: Any) -> None:
        self._call("remove")


def engine_of(container: Container) -> Any:
    return SimpleNamespace(
        client=SimpleNamespace(containers=SimpleNamespace(create=lambda *_, **__: container)),
        foreign_platform=None,
        rootless=False,
    )


@pytest.mark.parametrize("failing", ["start", "remove", "exec_run"])
def test_no_failure_of_the_engine_keeps_files_or_the_container(
    tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    layout, container = make_layout(tmp_path), Container(failing)
    with (
        pytest.raises((APIError, ConnectionError)),
        open_fetch_container(engine_of(container), "base:1", layout, SITE) as opened,
    ):
        (opened.out / "file").touch()
    assert container.called[-1] == "remove"
    assert list(layout.cache.iterdir()) == []
