"""``./invoke size``: tables, JSON, a page, and the comparison with another build."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout, failed, replace_in

SIZE = ("size", "--target", TARGET)


def test_the_tables_add_up_and_say_why_files_differ(built: Checkout) -> None:
    done = built.invoke(*SIZE, "--lines", "3")
    assert done.returncode == 0, done.stderr
    image = (built.output / "hello_world.bin").stat().st_size
    assert f"flash  {image:,} of " in done.stdout
    assert "symbol, 3 largest of" in done.stdout
    assert re.search(r"^g_model +2,632 +0 +model/sine_int8/model_data.cc$", done.stdout, re.M)
    assert re.search(rf"^hello_world.bin +{image:,} +{image:,}$", done.stdout, re.M)
    assert "this one needs" in done.stdout


def test_json_has_every_symbol(built: Checkout) -> None:
    document = json.loads(built.invoke(*SIZE, "--json").stdout)
    assert document["schema"] == "tinyml-toolchain/sizes/1"
    (size,) = document["sizes"]
    assert sum(symbol["flash"] for symbol in size["symbols"]) == size["flash_used"]
    assert sum(symbol["ram"] for symbol in size["symbols"]) == size["ram_used"]
    assert size["difference"] is None


class Page(HTMLParser):
    """Checks that every element is closed, and collects what the page asks for from elsewhere."""

    VOID = frozenset({"meta", "br", "input", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.asked += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_asks_for_nothing(built: Checkout, tmp_path: Path) -> None:
    file = tmp_path / "size.html"
    done = built.invoke(*SIZE, "--html", str(file))
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stdout
    text = file.read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.asked == []
    assert "url(" not in text
    image = (built.output / "hello_world.bin").stat().st_size
    assert f"Flash: {image:,} of" in page.text
    assert "tflite::ops::micro::fully_connected::Eval" in page.text


def test_a_page_that_cannot_be_written_is_one_error(built: Checkout, tmp_path: Path) -> None:
    assert "cannot be written" in failed(built.invoke(*SIZE, "--html", str(tmp_path)), 29)


NOTE = """extern const char kNote[];
const char kNote[] __attribute__((used, section(".rodata.kNote"))) =
    "1234567890123456789012345678901";
void BoardInit() {
  asm volatile("" ::"r"(kNote));
"""
"""A constant of 32 bytes that the linker may not drop."""


def enlarged(copy: Checkout) -> None:
    replace_in(copy.board_source, "void BoardInit() {\n", NOTE)


def test_another_builds_folder_is_compared_with(copy: Checkout, built: Checkout) -> None:
    enlarged(copy)
    done = copy.invoke(*SIZE, "--compare", str(built.folder / "build"))
    assert done.returncode == 0, done.stderr
    row = re.search(r"^board +[\d,]+ +\+(\d+) ", done.stdout, re.M)
    assert row
    assert 32 <= int(row[1]) < 64
    assert re.search(r"^kNote +\+32 +=", done.stdout, re.M)
    table = copy.invoke(*SIZE, "--compare", str(built.output), "--markdown").stdout
    assert table.startswith("### Sizes in bytes, and what changed since ")
    assert re.search(rf"^\| {TARGET}, sine_int8 \| [\d,]+ \| \+\d+ \| [\d,]+ \| = \|", table, re.M)
    assert "| `kNote` | +32 | = |" in table


def committed(copy: Checkout) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(["git", *command], cwd=copy.folder, check=True)


def test_a_commit_is_built_apart_and_compared_with(copy: Checkout) -> None:
    committed(copy)
    enlarged(copy)
    done = copy.invoke(*SIZE, "--compare", "HEAD")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^kNote +\+32 +=", done.stdout, re.M)
    again = copy.invoke(*SIZE, "--compare", "no-such-commit")
    assert "git knows no such commit" in failed(again, 29)


@pytest.mark.parametrize("folder", ["empty", "."])
def test_a_folder_without_a_build_is_told(built: Checkout, tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    said = failed(built.invoke(*SIZE, "--compare", str(tmp_path / folder)), 29)
    assert "hello_world.elf" in said
