from __future__ import annotations

from pathlib import Path

from tests.unit.actions_support import P, files_under
from toolchain.actions.publication import publish
from toolchain.actions.store import Store

REPORTS = frozenset({P("report.html"), P("plots/data.png"), P("other/model.json")})


def test_reports_in_folders_of_their_own_stay_while_the_files_are_the_same(tmp_path: Path) -> None:
    store, folder = Store(tmp_path / "cas"), tmp_path / "build" / "sine"
    model, page = store.put_bytes(b"model"), store.put_bytes(b"page")
    told = {P("sine.keras"): model, **dict.fromkeys(REPORTS, page)}
    assert publish(store, told, folder)
    assert not publish(store, {P("sine.keras"): model}, folder, reports=REPORTS)
    assert files_under(folder)["plots/data.png"] == b"page"


def test_reports_go_with_the_files_that_they_are_about(tmp_path: Path) -> None:
    store, folder = Store(tmp_path / "cas"), tmp_path / "build" / "sine"
    page = store.put_bytes(b"page")
    publish(store, {P("m"): store.put_bytes(b"1"), **dict.fromkeys(REPORTS, page)}, folder)
    assert publish(store, {P("m"): store.put_bytes(b"2")}, folder, reports=REPORTS)
    assert files_under(folder) == {"m": b"2"}


def test_a_stranger_beside_the_reports_is_removed(tmp_path: Path) -> None:
    store, folder = Store(tmp_path / "cas"), tmp_path / "build" / "sine"
    files = {P("m"): store.put_bytes(b"1"), P("plots/data.png"): store.put_bytes(b"p")}
    publish(store, files, folder)
    (folder / "plots" / "stranger").write_bytes(b"x")
    assert publish(store, {P("m"): store.put_bytes(b"1")}, folder, reports=REPORTS)
    assert files_under(folder) == {"m": b"1"}
