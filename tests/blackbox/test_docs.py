"""The documentation: it builds without a warning, and every command in it is run."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.blackbox.support import Checkout, failed
from toolchain.errors import DocumentationError
from toolchain.layout import project_layout

PROJECT = project_layout().project
PAGES = sorted(
    path
    for folder in ("tutorial", "how-to", "explanation")
    for path in (PROJECT / "docs" / folder).glob("*.md")
)
TOP = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"]
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NOT_RUN = {
    "./invoke simulate --target sparkfun_edge --watch": "needs a terminal: test_replay.py",
    "./invoke flash --target sparkfun_edge": "needs a board: tests/unit/test_flashing_*.py",
    "./invoke build --target sparkfun_edge --bundle tinyml-toolchain-bundle.tar": (
        "writes and reads 1.2 GB: test_sharing.py"
    ),
    "./invoke test": "this is it",
    "./invoke matrix my_matrix.toml": "many firmwares: tests/firmware/test_matrix.py",
    "./invoke remote up --workers 2": "with what follows: test_remote.py",
    "./invoke build --target all --remote-executor grpc://127.0.0.1:50051": "see remote up",
    "./invoke remote status": "see remote up",
    "./invoke remote down": "see remote up",
    "./invoke remote up --listen 192.0.2.10": "needs that address: test_remote_encryption.py",
    "./invoke remote token --role client --holder ann --days 90": (
        "needs a service: tests/containers/test_remote_service.py"
    ),
    (
        "./invoke worker --server grpcs://192.0.2.10:50051 --slots 4 --token-file worker.token "
        "--ca-file ca.pem"
    ): "needs a service: tests/containers/test_remote_workers.py",
    (
        "./invoke build --target all --remote-executor grpcs://192.0.2.10:50051 "
        "--remote-token-file client.token --remote-ca-file ca.pem"
    ): "needs a service: test_remote_encryption.py",
    "./invoke train": "trains for half a minute: test_story_train.py",
    "./invoke ci --job board": "builds all boards: tests/unit/test_ci.py and below",
    "./invoke package --target all --version 1.0": "as the next two: tests/unit/test_release_*.py",
    "./invoke verify-release dist": "see package",
    "./invoke reproduce dist": "see package",
    "./invoke verify --target all --model my_model.tflite": "with its inputs on the next line",
    "./invoke verify --target all --model my_model.tflite --inputs my_inputs.npy": (
        "given models on all boards: tests/firmware/test_given_models.py"
    ),
    "./invoke build --target sparkfun_edge --model my_model.tflite": "likewise",
    "./invoke size --target sparkfun_edge --model my_model.tflite": "likewise",
    "./invoke build --target sparkfun_edge --model my_model.keras --representative my_inputs.npy": (
        "likewise"
    ),
}
"""Commands that are parsed only, each with the reason and where it is run instead."""

# A problem of this computer, such as its disk, is no fault of the page.
MAY_END_WITH = {"./invoke doctor": {0, 36}}


def commands() -> Iterator[tuple[str, str]]:
    for page in [PROJECT / "README.md", *PAGES]:
        for block in FENCE.findall(page.read_text()):
            for line in block.splitlines():
                if line.strip():
                    yield page.relative_to(PROJECT).as_posix(), line.strip()


COMMANDS = list(dict.fromkeys(line for _, line in commands()))


def test_the_pages_have_commands_and_each_exception_is_one_of_them() -> None:
    assert len(COMMANDS) > 20
    assert set(NOT_RUN) <= set(COMMANDS)
    assert all(line.startswith("./invoke ") for line in COMMANDS)


@pytest.fixture(scope="module")
def page_folder(built: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which the pages' commands follow on each other."""
    return built.copy_to(tmp_path_factory.mktemp("docs") / "clone")


@pytest.mark.parametrize("line", [line for line in COMMANDS if line not in NOT_RUN])
def test_a_command_of_the_documentation_does_what_it_says(page_folder: Checkout, line: str) -> None:
    words = shlex.split(line)[1:]
    if "HEAD" in words:
        # The checkout of the tests has no history: the folder of the build stands for a commit.
        words[words.index("HEAD")] = str(page_folder.folder / "build")
    done = page_folder.invoke(*words)
    assert done.returncode in MAY_END_WITH.get(line, {0}), done.stderr
    assert done.stdout or done.stderr


@pytest.mark.parametrize("line", NOT_RUN)
def test_a_command_that_is_not_run_is_at_least_understood(built: Checkout, line: str) -> None:
    task, *options = shlex.split(line.replace("remote ", "remote-", 1))[1:]
    known = built.invoke("--help", task).stdout
    for option in options:
        if option.startswith("--"):
            assert f"{option}" in known, option


def test_every_command_in_a_sentence_exists(built: Checkout) -> None:
    listed = built.invoke("--list").stdout
    names = {line.split()[0] for line in listed.splitlines() if line.startswith("  ")}
    for page in [*TOP, *PAGES, PROJECT / "docs" / "index.md"]:
        for task, word in re.findall(r"`\./invoke ([a-z-]+)(?: ([a-z]+))?", page.read_text()):
            assert {task, f"{task}-{word}"} & names, f"{page.name}: {task}"


class Links(HTMLParser):
    """Collects what a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = {"script": "src", "link": "href", "img": "src"}.get(tag)
        self.asked += [value or "" for name, value in attrs if name == wanted]


def test_the_site_builds_and_asks_nobody_else_for_anything(
    page_folder: Checkout, tmp_path: Path
) -> None:
    done = page_folder.invoke("docs", "--out", str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 15
    for page in pages:
        links = Links()
        links.feed(page.read_text())
        outside = [each for each in links.asked if re.match(r"(https?:)?//", each)]
        assert outside == [], page


def test_a_link_that_leads_nowhere_is_an_error(copy: Checkout, tmp_path: Path) -> None:
    page = copy.folder / "docs" / "index.md"
    page.write_text(page.read_text() + "\n[nowhere](nowhere.md)\n")
    done = copy.invoke("docs", "--out", str(tmp_path / "site"))
    assert "nowhere.md" in failed(done, DocumentationError.exit_code)
    shutil.rmtree(tmp_path / "site", ignore_errors=True)


def test_the_example_in_python_runs(built: Checkout) -> None:
    page = (PROJECT / "docs" / "reference" / "python.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    python = [str(built.folder / ".venv" / "bin" / "python"), "-c", example]
    done = built.invoke(program=python)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "verified" in done.stdout.splitlines()
    assert "g_model is the largest symbol" in done.stdout
