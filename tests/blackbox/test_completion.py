"""Completion by the shells themselves."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.blackbox.support import Checkout, failed
from toolchain.boards import board_names

BASH = r"""
source "$1"
cd "$2"
shift 2
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_tinyml_invoke
printf '%s\n' "${COMPREPLY[@]}"
"""
"""Completes the last word; what ``complete`` registered is asked for by the last test."""


@pytest.fixture(scope="module")
def script_of(built: Checkout, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("completion")
    files = {}
    for shell in ("bash", "zsh", "fish"):
        done = built.invoke("completion", shell)
        assert done.returncode == 0, done.stderr
        files[shell] = folder / f"invoke.{shell}"
        files[shell].write_text(done.stdout)
    return files


def completed(file: Path, checkout: Checkout, *words: str) -> set[str]:
    bash = ("bash", "--norc", "--noprofile", "-c", BASH, "bash")
    done = subprocess.run(
        [*bash, str(file), str(checkout.folder), "./invoke", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_tasks_options_boards_and_models_are_completed(
    built: Checkout, script_of: dict[str, Path]
) -> None:
    def complete(*words: str) -> set[str]:
        return completed(script_of["bash"], built, *words)

    assert complete("bu") == {"build", "bundle"}
    assert complete("") >= {"build", "simulate", "verify", "doctor", "completion"}
    assert complete("build", "--ta") == {"--target"}
    assert complete("simulate", "--") >= {"--target", "--html", "--watch", "--help"}
    boards = {"all", *board_names(built.folder / "boards")}
    assert complete("build", "--target", "") == boards
    assert complete("build", "-t", "st") == {"stm32f746g_disco"}
    assert complete("build", "--target", "=", "sp") == {"sparkfun_edge"}
    assert complete("build", "--model", "sine_") == {"sine_int8", "sine_float"}
    assert complete("build", "--engine", "h") >= {"host"}
    assert complete("build", "--model", "verify", "--exp") == {"--explain"}


def test_a_task_of_two_words_is_completed_as_it_is_typed(
    built: Checkout, script_of: dict[str, Path]
) -> None:
    def complete(*words: str) -> set[str]:
        return completed(script_of["bash"], built, *words)

    assert complete("cache", "") == {"export", "import"}
    assert complete("cache", "--j") == {"--json"}
    assert complete("remote", "st") == {"status"}
    assert complete("remote", "up", "--li") == {"--listen"}
    assert complete("cache", "export", "--ta") == {"--target"}


def test_a_new_board_is_completed_at_once(copy: Checkout, script_of: dict[str, Path]) -> None:
    shutil.copytree(copy.folder / "boards/sparkfun_edge", copy.folder / "boards/a_fourth_board")
    found = completed(script_of["bash"], copy, "build", "--target", "a")
    assert found == {"all", "a_fourth_board", "arduino_nano_33_ble"}


def test_bash_asks_the_script_for_the_command(script_of: dict[str, Path]) -> None:
    bash = ["bash", "--norc", "-c", 'source "$1"; complete -p invoke', "bash"]
    done = subprocess.run(
        [*bash, str(script_of["bash"])], capture_output=True, text=True, check=True
    )
    assert "-F _tinyml_invoke invoke" in done.stdout


def test_zsh_completes_what_is_typed(built: Checkout, script_of: dict[str, Path]) -> None:
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("not run: zsh is not installed")
    own, its = pty.openpty()
    with subprocess.Popen(
        [zsh, "-f", "-i"],
        cwd=built.folder,
        env=built.environment(TERM="xterm", PS1="> "),
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    ) as process:
        os.close(its)

        def typed(text: str, awaited: str) -> None:
            os.write(own, text.encode())
            shown = b""
            while awaited.encode() not in shown:
                readable, _, _ = select.select([own], [], [], 60)
                assert readable, f"{awaited!r} is not shown, but {shown!r}"
                shown += os.read(own, 65536)

        try:
            # The quotes keep the echo of what is typed from being taken for the answer.
            typed(f"source '{script_of['zsh']}'; echo lo''aded\n", "loaded\r\n")
            typed("./invoke simu\t", "simulate")
            typed("--target stm\t", "stm32f746g_disco")
        finally:
            process.kill()
    os.close(own)


def test_fish_completes_from_its_script(built: Checkout, script_of: dict[str, Path]) -> None:
    fish = shutil.which("fish")
    if fish is None:
        pytest.skip("not run: fish is not installed")
    code = f'source "{script_of["fish"]}"; cd "{built.folder}"; complete -C "./invoke build --ta"'
    done = subprocess.run([fish, "-c", code], capture_output=True, text=True, check=True)
    assert "--target" in done.stdout


def test_another_shell_is_told(built: Checkout) -> None:
    assert "choose: bash, zsh, fish" in failed(built.invoke("completion", "csh"), 29)
