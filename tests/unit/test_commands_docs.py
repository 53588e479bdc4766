"""What ``docs --out`` replaces, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolchain.commands.docs import require_replaceable
from toolchain.errors import UsageError
from toolchain.files import remove_tree


def test_only_a_site_and_an_empty_folder_are_replaced(tmp_path: Path) -> None:
    site, empty, project = tmp_path / "site", tmp_path / "empty", tmp_path / "project"
    for folder in (site / "search", empty, project):
        folder.mkdir(parents=True)
    for name in ("index.html", "404.html", "search/search_index.json"):
        (site / name).write_text("")
    (project / "index.html").write_text("a page of somebody")
    for folder in (site, empty, tmp_path / "none"):
        require_replaceable(folder)
    for place in (project, project / "index.html", Path("/dev/null"), Path("/")):
        with pytest.raises(UsageError, match="is there already and no site of ours"):
            require_replaceable(place)


def test_a_folder_to_which_a_link_leads_stays(tmp_path: Path) -> None:
    kept, link = tmp_path / "kept", tmp_path / "link"
    kept.mkdir(mode=0o755)
    (kept / "file").write_text("mine")
    link.symlink_to(kept)
    remove_tree(link)
    assert not link.is_symlink()
    assert (kept / "file").read_text() == "mine"
