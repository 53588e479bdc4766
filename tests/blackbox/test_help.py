"""What the command tells of its tasks and options."""

from __future__ import annotations

from tests.blackbox.support import Checkout

TASKS = (
    *(
        "build",
        "bundle",
        "cache",
        "cache-export",
        "cache-import",
        "clean",
        "images",
        "matrix",
        "pins",
    ),
    *("remote-down", "remote-logs", "remote-status", "remote-token", "remote-up", "worker"),
    *("ci", "plan", "shell", "package", "reproduce", "verify-release"),
    *("flash", "schemas", "simulate", "targets", "test", "train", "verify"),
)


def test_tasks_are_listed_and_each_option_is_explained(built: Checkout) -> None:
    listed = built.invoke("--list")
    assert listed.returncode == 0
    names = {line.split()[0] for line in listed.stdout.splitlines() if line.startswith("  ")}
    assert names >= set(TASKS)
    for name in TASKS:
        shown = built.invoke("--help", name)
        assert shown.returncode == 0
        options = shown.stdout.partition("Options:\n")[2].splitlines()
        unexplained = [line for line in options if line.startswith("  -") and "   " not in line[3:]]
        assert unexplained == [], name


def test_the_command_alone_lists_its_tasks(built: Checkout) -> None:
    alone = built.invoke()
    assert alone.returncode == 0
    assert alone.stdout == built.invoke("--list").stdout


def test_the_help_of_a_task_says_what_it_does_and_how_it_is_typed(built: Checkout) -> None:
    first, second = (built.invoke("--help", "build"), built.invoke("build", "--help"))
    assert first.stdout == second.stdout
    lines = first.stdout.splitlines()
    assert lines[0] == "Usage: ./invoke build [options]"
    assert lines[2] == "  Make a flashable firmware: train, convert, compile, check."


def test_a_list_whose_reader_has_seen_enough_is_no_error(built: Checkout) -> None:
    script = '"$@" | true; echo "${PIPESTATUS[0]}" >&2'
    done = built.invoke(
        "--list", program=["bash", "-c", script, "bash", str(built.folder / "invoke")]
    )
    assert done.stderr.splitlines()[-1] in {"0", "141"}
    assert "Traceback" not in done.stderr
