from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.actions_support import RecordingReporter, files_under
from toolchain.actions import project_lock
from toolchain.commands import clean as module
from toolchain.errors import UsageError
from toolchain.files import remove_tree
from toolchain.layout import Layout
from toolchain.remote.worker import hold_name

Clean = Callable[..., list[str]]


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    layout = Layout(tmp_path / "project", tmp_path / "cache")
    for path in (
        *(layout.project / "mine", layout.build / "board" / "model" / "file"),
        *(layout.store / "blob", layout.actions / "entry", layout.downloads / "file"),
        *(layout.sandboxes / "left" / "file", layout.engine / "data" / "image"),
        *(
            layout.cache / name / "memo"
            for name in ("checked", "packaged", "machines", "arenas", "tflm")
        ),
        layout.cache / "mine",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    monkeypatch.setattr(module, "project_layout", lambda: layout)
    return layout


def clean(*, cache: bool, dry_run: bool = False) -> list[str]:
    reporter = RecordingReporter()
    done = module.clean(reporter, cache=cache, dry_run=dry_run)
    assert len(reporter.notes) == max(len(done), 1)
    return reporter.notes


def test_only_outputs_go_by_default(layout: Layout) -> None:
    before = files_under(layout.cache)
    assert clean(cache=False) == [f"removed {layout.build} (0.0 MB)"]
    assert files_under(layout.project) == {"mine": b"content"}
    assert files_under(layout.cache).items() >= before.items()
    assert clean(cache=False) == ["there is nothing to remove"]


def test_with_the_cache_everything_of_ours_goes_and_nothing_else(layout: Layout) -> None:
    assert len(clean(cache=True)) == 11
    assert files_under(layout.project) == {"mine": b"content"}
    left = {name for name in files_under(layout.cache) if not name.startswith("locks/")}
    assert left == {"mine"}


def test_nothing_goes_while_a_worker_uses_the_cache(layout: Layout) -> None:
    descriptor = hold_name("somebody", layout)
    with pytest.raises(UsageError, match="another command uses the cache"):
        clean(cache=True)
    assert (layout.store / "blob").exists()
    os.close(descriptor)
    clean(cache=True)
    assert not layout.store.exists()


def test_inputs_in_read_only_folders_go_too(layout: Layout) -> None:
    (layout.sandboxes / "left").chmod(0o555)
    clean(cache=True)
    assert not layout.sandboxes.exists()


def test_a_file_in_the_place_of_a_folder_goes_too(layout: Layout) -> None:
    remove_tree(layout.build)
    layout.build.write_text("somebody redirected here")
    clean(cache=False)
    assert not layout.build.exists()


def test_a_linked_folder_is_unlinked_and_its_content_stays(layout: Layout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    layout.build.rename(elsewhere)
    layout.build.symlink_to(elsewhere)
    clean(cache=False)
    assert not layout.build.is_symlink()
    assert files_under(elsewhere) == {"board/model/file": b"content"}


def test_nothing_goes_while_another_checkout_uses_the_cache(layout: Layout) -> None:
    other = Layout(layout.project.with_name("other"), layout.cache)
    before = files_under(layout.project)
    with project_lock(other, RecordingReporter()), pytest.raises(UsageError, match="another"):
        clean(cache=True)
    assert files_under(layout.project) == before
    assert (layout.store / "blob").exists()
    clean(cache=True)
    assert not layout.store.exists()


@pytest.mark.parametrize("cache", [False, True])
def test_a_dry_run_says_what_would_go_and_removes_nothing(layout: Layout, cache: bool) -> None:
    before = {**files_under(layout.project), **files_under(layout.cache)}
    said = clean(cache=cache, dry_run=True)
    now = {**files_under(layout.project), **files_under(layout.cache)}
    assert {name: now[name] for name in before} == before
    gone = clean(cache=cache)
    assert [line.removeprefix("would remove") for line in said] == [
        line.removeprefix("removed") for line in gone
    ]


def test_sizes_are_those_on_the_disk(layout: Layout) -> None:
    (layout.build / "large").write_bytes(bytes(3_000_000))
    (done,) = module.clean(RecordingReporter(), cache=False)
    assert done.what == str(layout.build)
    assert 3_000_000 <= done.size_bytes < 3_100_000


def test_a_release_goes_only_when_it_is_asked_for(layout: Layout) -> None:
    layout.dist.mkdir()
    (layout.dist / "archive.zip").write_bytes(bytes(10))
    reporter = RecordingReporter()
    assert [each.what for each in module.clean(reporter, cache=True)] != []
    assert reporter.notes[-1] == f"{layout.dist} stays; --dist removes the release in it too"
    assert (layout.dist / "archive.zip").exists()
    (would,) = module.clean(RecordingReporter(), cache=False, dist=True, dry_run=True)
    assert would.what == str(layout.dist)
    assert layout.dist.exists()
    module.clean(RecordingReporter(), cache=False, dist=True)
    assert not layout.dist.exists()
