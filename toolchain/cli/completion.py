"""Scripts by which a shell completes tasks, options and values of ``./invoke``.

Tasks and options are in the script, so that completing starts no Python; boards are looked up in
the checkout whose command is typed, when it is typed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from toolchain.errors import UsageError
from toolchain.models import BUILD_TYPES, MODELS

VALUES: Mapping[str, tuple[str, ...]] = {
    "model": tuple(MODELS),
    "build-type": BUILD_TYPES,
    "engine": ("auto", "docker", "host"),
    "simulator": ("unicorn", "renode"),
    "library": ("linked", "whole", "ends"),
    "job": ("test", "board", "repro", "release", "renode"),
}
"""Values of options; files are completed too, as a model or an output may be one."""

TARGET = "target"

TWO_WORDS = ("cache", "remote")
"""First words of tasks that the script ``invoke`` makes one word of."""


@dataclass(frozen=True)
class Option:
    """An option of a task, without its dashes; ``short`` may be empty."""

    name: str
    short: str
    takes_value: bool
    help: str


@dataclass(frozen=True)
class Task:
    """A task with its options."""

    name: str
    summary: str
    options: tuple[Option, ...]


def described() -> tuple[Task, ...]:
    """Return the tasks by name."""
    from toolchain.cli.collection import collection

    found = collection()
    tasks = []
    for context in found.to_contexts():
        summary = (found[context.name].__doc__ or "").strip().splitlines()[0]
        options = []
        for argument in context.args.values():
            names = sorted(argument.names, key=len)
            long = names[-1]
            short = names[0] if len(names[0]) == 1 else ""
            options.append(Option(long, short, argument.takes_value, argument.help or ""))
        unique = {option.name: option for option in options}
        ordered = sorted(unique.values(), key=lambda each: each.name)
        tasks.append(Task(str(context.name), summary, tuple(ordered)))
    return tuple(sorted(tasks, key=lambda each: each.name))


def script(shell: str, tasks: Sequence[Task]) -> str:
    """Return the script for a shell.

    Raises:
        UsageError: there is none for that shell.
    """
    if shell not in _SCRIPTS:
        raise UsageError(
            f"there is no completion for '{shell}'", next_step=f"choose: {', '.join(_SCRIPTS)}"
        )
    return _SCRIPTS[shell](tasks)


_BASH = r"""# Completion of ./invoke for bash. Load it with:  source <(./invoke completion bash)
_tinyml_invoke() {
    local root current previous task="" first="" word index
    root=$(dirname -- "$(readlink -f -- "${COMP_WORDS[0]}")")
    [ -d "$root/boards" ] || return
    current=${COMP_WORDS[COMP_CWORD]}
    previous=${COMP_WORDS[COMP_CWORD - 1]}
    [ "$current" = "=" ] && current=""
    [ "$previous" = "=" ] && previous=${COMP_WORDS[COMP_CWORD - 2]}
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        case " @TASKS@ " in
            *" $first-$word "*) task=$first-$word ;;
            *" $word "*) task=${task:-$word} ;;
        esac
        [ "$index" = 1 ] && first=$word || first=""
    done
    if [ "$COMP_CWORD" = 2 ] && [[ $current != -* ]]; then
        case $previous in
@SECOND@
        esac
    fi
    case $previous in
        --target | -t)
            word=$(cd "$root/boards" && for word in */board.toml; do echo "${word%/*}"; done)
            COMPREPLY=($(compgen -W "all $word" -- "$current"))
            return
            ;;
@VALUES@
    esac
    case $task in
        "") COMPREPLY=($(compgen -W "@TASKS@ --list --help" -- "$current")) ;;
@OPTIONS@
    esac
}
complete -o bashdefault -o default -F _tinyml_invoke invoke
"""

_ZSH = """# Completion of ./invoke for zsh. Load it with:  source <(./invoke completion zsh)
autoload -Uz compinit bashcompinit
compinit -u
bashcompinit
"""


def _bash(tasks: Sequence[Task]) -> str:
    values = [
        f"        --{name}) COMPREPLY=($(compgen -W {shlex.quote(' '.join(words))} -f -- "
        '"$current")); return ;;'
        for name, words in VALUES.items()
    ]
    options = []
    for task in tasks:
        words = " ".join(f"--{option.name}" for option in task.options)
        words = f"{words} --help --verbose --debug".strip()
        options.append(
            f"        {task.name}) [[ $current == -* || -z $current ]] && "
            f'COMPREPLY=($(compgen -W "{words}" -- "$current")) ;;'
        )
    names = " ".join(task.name for task in tasks)
    second = []
    for first in TWO_WORDS:
        words = " ".join(
            task.name.removeprefix(f"{first}-")
            for task in tasks
            if task.name.startswith(f"{first}-")
        )
        second.append(
            f'            {first}) COMPREPLY=($(compgen -W "{words}" -- "$current")); return ;;'
        )
    return (
        _BASH.replace("@TASKS@", names)
        .replace("@SECOND@", "\n".join(second))
        .replace("@VALUES@", "\n".join(values))
        .replace("@OPTIONS@", "\n".join(options))
    )


def _zsh(tasks: Sequence[Task]) -> str:
    return _ZSH + "\n".join(_bash(tasks).splitlines()[1:]) + "\n"


def _fish(tasks: Sequence[Task]) -> str:
    lines = [
        "# Completion of ./invoke for fish. Load it with:  ./invoke completion fish | source",
        "function __tinyml_boards",
        "    set -l words (commandline -opc)",
        "    set -l root (path dirname (path resolve $words[1]))",
        "    echo all",
        "    path basename (path dirname $root/boards/*/board.toml)",
        "end",
        "complete -c invoke -f",
    ]
    for task in tasks:
        quoted = shlex.quote(task.summary)
        lines.append(f"complete -c invoke -n __fish_use_subcommand -a {task.name} -d {quoted}")
        for option in task.options:
            parts = [
                f"complete -c invoke -n '__fish_seen_subcommand_from {task.name}'",
                f"-l {option.name}",
            ]
            if option.short:
                parts.append(f"-s {option.short}")
            if option.name == TARGET:
                parts.append("-x -a '(__tinyml_boards)'")
            elif option.name in VALUES:
                parts.append(f"-r -F -a {shlex.quote(' '.join(VALUES[option.name]))}")
            elif option.takes_value:
                parts.append("-r -F")
            if option.help:
                parts.append(f"-d {shlex.quote(option.help)}")
            lines.append(" ".join(parts))
    return "\n".join(lines) + "\n"


_SCRIPTS: Mapping[str, Callable[[Sequence[Task]], str]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
