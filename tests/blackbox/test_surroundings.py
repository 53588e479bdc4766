"""What a user's or a system's settings change of the results: nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.blackbox.support import TARGET, Checkout

SURROUNDINGS = {
    "locale": {"LC_ALL": "tr_TR.UTF-8", "LANG": "de_DE.UTF-8", "LANGUAGE": "fr"},
    "C locale": {"LC_ALL": "C"},
    "time zone": {"TZ": "Pacific/Chatham"},
    "terminal": {"TERM": "dumb", "COLUMNS": "20", "LINES": "4"},
    "colour": {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"},
    "compiler": {"CC": "false", "CFLAGS": "-O0", "CXXFLAGS": "-O0", "MAKEFLAGS": "-n"},
    "make": {"TARGET": "nothing", "BUILD_TYPE": "debug", "TOOLCHAIN": "gcc"},
    "shell": {"CDPATH": "/", "ENV": "/nonexistent", "BASH_ENV": "/nonexistent"},
    "dates": {"SOURCE_DATE_EPOCH": "1", "ZERO_AR_DATE": "0"},
    "invoke": {
        "INVOKE_TASKS_AUTO_DASH_NAMES": "0",
        "INVOKE_RUN_DRY": "1",
        "INVOKE_RUNTIME_CONFIG": "/nonexistent.yaml",
    },
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_the_result_is_the_same(built: Checkout, name: str) -> None:
    plain = built.invoke("build", "--target", TARGET)
    done = built.invoke("build", "--target", TARGET, variables=SURROUNDINGS[name])
    assert (done.returncode, done.stdout) == (0, plain.stdout), done.stderr


def test_python_in_the_users_surroundings_is_not_ours(built: Checkout, tmp_path: Path) -> None:
    for name in ("invoke", "toolchain", "tasks", "json", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(99)\n")
    plain = built.invoke("targets")
    done = built.invoke("targets", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, plain.stdout), done.stderr


def test_the_settings_of_another_program_that_uses_invoke_are_not_read(
    built: Checkout, tmp_path: Path
) -> None:
    (tmp_path / ".invoke.yaml").write_text("tasks: {auto_dash_names: false}\nrun: {dry: true}\n")
    done = built.invoke(
        "simulate", "--target", TARGET, "--build-type", "release", HOME=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr


def test_a_strict_umask_shuts_nobody_out_of_what_the_sandboxes_write(copy: Checkout) -> None:
    shell = ["sh", "-c", 'umask 077; exec "$@"', "sh", str(copy.folder / "invoke")]
    copy.touch_firmware()
    done = copy.invoke("build", "--target", TARGET, program=shell)
    assert done.returncode == 0, done.stderr
