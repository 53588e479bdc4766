"""Draws what a terminal shows of real commands as a picture, ``terminal.svg`` beside this file.

Run it by its path. The commands are run as a user would run them, their output
is cut to what fits, and drawn as text.
"""

from __future__ import annotations

import subprocess
from html import escape
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
COMMANDS = (
    (("./invoke", "build", "--target", "sparkfun_edge"), 15, 9),
    (("./invoke", "verify", "--target", "sparkfun_edge", "--quiet"), 20, 0),
)
"""What is run, and how many of its first and last lines are shown."""

COLUMNS = 108
_CHARACTER, _LINE, _MARGIN = 7.3, 17, 14


def shown(command: tuple[str, ...], first: int, last: int) -> list[str]:
    """Run a command and return its prompt, its first and its last lines, cut to the width."""
    done = subprocess.run(
        command,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    said = [
        line if len(line) < COLUMNS else f"{line[: COLUMNS - 1]}…"
        for line in done.stdout.splitlines()
    ]
    if len(said) > first + last:
        said = [*said[:first], "…", *said[len(said) - last :]]
    return [f"$ {' '.join(command)}", *said, ""]


def drawn(lines: list[str]) -> str:
    """Return the lines as an SVG picture."""
    width, height = COLUMNS * _CHARACTER + 2 * _MARGIN, len(lines) * _LINE + 2 * _MARGIN
    rows = [
        f'<text x="{_MARGIN}" y="{_MARGIN + (index + 0.8) * _LINE:.0f}" xml:space="preserve"'
        f"{' class=' + chr(34) + 'prompt' + chr(34) if line.startswith('$ ') else ''}>"
        f"{escape(line)}</text>"
        for index, line in enumerate(lines)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        'role="img" aria-label="A terminal with the output of build and verify">'
        "<style>text{font:12px ui-monospace,DejaVu Sans Mono,monospace;fill:#e6e6e6}"
        ".prompt{fill:#8fd18f;font-weight:bold}</style>"
        f'<rect width="100%" height="100%" rx="8" fill="#1e1e24"/>{"".join(rows)}</svg>\n'
    )


def main() -> None:
    """Run the commands and write the picture."""
    lines = [line for command in COMMANDS for line in shown(*command)]
    (Path(__file__).with_name("terminal.svg")).write_text(drawn(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
