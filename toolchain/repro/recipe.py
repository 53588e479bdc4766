"""From steps to a folder of inputs and one script that runs them all, from clean, one by one.

The steps' commands are those of the pipeline; a step's inputs that are another step's outputs come
from the same run where that step is part of it, and else from the store.
"""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions import OutputOf, Step, Store
from toolchain.actions.graph import order
from toolchain.actions.host_executor import replace_places
from toolchain.digest import Digest
from toolchain.repro.variations import Conditions

_FACTS = r"""
fact() { printf '%s=%s\n' "$1" "$2" >> "$RESULT/facts"; }
fact path "$ROOT"
fact home "${HOME-}"
fact user "$(id -u)"
fact group "$(id -g)"
fact umask "$(umask)"
fact locale "${LC_ALL-} ${LANG-} ${LANGUAGE-} $(locale charmap 2>/dev/null || :)"
fact time_zone "$(date -d @0 +%H:%M%z)"
fact clock "$(date +%Y)"
fact source_date "${SOURCE_DATE_EPOCH-}"
fact hostname "$(uname -n)"
fact cores "$(nproc)"
fact environment "${CFLAGS-} ${TAR_OPTIONS-}"
fact file_order "$(cd "$ROOT"; ls -UR ./[0-9]* | cksum)"
fact file_system "$(stat -f -c %T "$ROOT")"
fact shell "$MAKE_SHELL"
fact mtimes "$(find "$ROOT/0/project" -type f -exec stat -c %Y {} + | sort -u | head -n 1)"
fact aslr "$(cat /proc/self/personality 2>/dev/null || :)"
fact kernel "$(uname -r)"
"""


@dataclass(frozen=True)
class Recipe:
    """A run of several steps.

    Attributes:
        steps: in the order in which they are run; a step's number is its place here.
        folder: holds ``tree``, the inputs as ``<number>/project/<path>``.
        files: what is below ``tree``, sorted.
    """

    steps: tuple[Step, ...]
    folder: Path
    files: tuple[str, ...]


def make_recipe(
    steps: Sequence[Step], known: Mapping[OutputOf, Digest], store: Store, folder: Path
) -> Recipe:
    """Lay out the inputs of ``steps`` in ``folder``.

    Args:
        steps: what is run; inputs that are outputs of other steps are taken from ``known``.
        known: content of the outputs of steps that are not run.
        store: has them.
        folder: new; readable by everybody afterwards.
    """
    names = {step.name for step in steps}
    inside = [_without_outside(step, names) for step in steps]
    by_name = {step.name: step for step in steps}
    ordered = tuple(by_name[name] for name in order(inside).static_order())
    files = []
    for number, step in enumerate(ordered):
        for path, source in step.inputs.items():
            if isinstance(source, OutputOf) and source.step in names:
                continue
            name = f"{number}/project/{path}"
            target = folder / "tree" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(source, Path):
                shutil.copyfile(source, target)
            else:
                target.write_bytes(
                    store.get(known[source]) if isinstance(source, OutputOf) else source
                )
            files.append(name)
    for laid in (folder, *folder.rglob("*")):
        laid.chmod(0o755 if laid.is_dir() else 0o644)
    return Recipe(ordered, folder, tuple(sorted(files)))


def _without_outside(step: Step, names: set[str]) -> Step:
    inputs = {
        path: source
        for path, source in step.inputs.items()
        if not isinstance(source, OutputOf) or source.step in names
    }
    return Step(step.name, step.image, step.arguments, inputs, step.outputs)


@dataclass(frozen=True)
class Places:
    """Where things are for the script.

    Attributes:
        inputs: the recipe's folder.
        work: empty folder to work in.
        result: empty folder for the outputs.
        tree: the TFLM tree.
        licence: folder with its ``copyright``.
        python: with TensorFlow.
        clock: the preloaded library that shifts the clock; empty for none.
    """

    inputs: str
    work: str
    result: str
    tree: str
    licence: str
    python: str
    clock: str


def script(
    recipe: Recipe, conditions: Conditions, places: Places, library_sources: str = ""
) -> str:
    """Return the shell script that builds everything, run by the shell of the conditions.

    Args:
        recipe: what is built.
        conditions: of this build.
        places: see there.
        library_sources: the library is made of these files of the tree only; empty for all.
    """
    root = f"{places.work}/{conditions.root}"
    tree = f"{root}/tflm" if conditions.tree_copied else places.tree
    listed = f"{places.inputs}/{'reversed' if conditions.reversed_order else 'sorted'}.list"
    sort = "sort -r" if conditions.reversed_order else "sort"
    unpack = f"tar --create --file - --no-recursion --mtime=@{conditions.mtime}"
    lines = [
        "set -eu",
        f"umask {conditions.umask:04o}",
        f"ROOT={shlex.quote(root)} TREE={shlex.quote(tree)} RESULT={shlex.quote(places.result)}",
        f"MAKE_SHELL={conditions.make_shell}",
        *(
            [f"export LD_PRELOAD={places.clock} CLOCK_SHIFT={conditions.clock_shift}"]
            if conditions.clock_shift and places.clock
            else []
        ),
        'mkdir -p "$ROOT"',
        f"(unset TAR_OPTIONS; {unpack} --directory {places.inputs}/tree --files-from {listed}"
        ' | tar --extract --file - --directory "$ROOT" --no-same-owner)',
    ]
    uses_tree = any(step.working_directory == "/opt/tflm" for step in recipe.steps)
    if conditions.tree_copied and uses_tree:
        lines += [
            'mkdir "$TREE"',
            f"(unset TAR_OPTIONS; cd {places.tree} && find . -type f | LC_ALL=C {sort} | {unpack}"
            ' --files-from - | tar --extract --file - --directory "$TREE" --no-same-owner)',
        ]
    lines.append(_FACTS)
    numbers = {step.name: number for number, step in enumerate(recipe.steps)}
    for number, step in enumerate(recipe.steps):
        lines += _step_lines(number, step, numbers, places, library_sources)
    return "\n".join(lines) + "\n"


def _step_lines(
    number: int, step: Step, numbers: Mapping[str, int], places: Places, library_sources: str
) -> list[str]:
    folder = f"$ROOT/{number}"
    lines = [f'echo "== {step.name}"', f'mkdir -p "{folder}/out" "{folder}/scratch"']
    for path, source in step.inputs.items():
        if isinstance(source, OutputOf) and source.step in numbers:
            made = f"$ROOT/{numbers[source.step]}/out/{source.path}"
            target = f"{folder}/project/{path}"
            lines.append(f'mkdir -p "{PurePosixPath(target).parent}"; cp "{made}" "{target}"')
    known = {
        "/project": f"{folder}/project",
        "/out": f"{folder}/out",
        "/tmp": f"{folder}/scratch",  # noqa: S108 - the sandbox's own
        "/opt/tflm": "$TREE",
        "/opt/venv/bin/python": places.python,
    }
    words = [_quoted(argument, known) for argument in step.arguments]
    if step.arguments[0] == "make":
        words += [f'"PROJECT={folder}/project"', f'"LICENCE_DIR={places.licence}"']
        words.append('"SHELL=$MAKE_SHELL"')
        if library_sources and step.name.startswith("library "):
            words.append(shlex.quote(f"LIBRARY_SOURCES={library_sources}"))
    lines.append(f"cd {_quoted(step.working_directory, known)}; {' '.join(words)}")
    for path in step.outputs:
        target = f"$RESULT/{number}/{path}"
        lines.append(
            f'mkdir -p "{PurePosixPath(target).parent}"; cp "{folder}/out/{path}" "{target}"'
        )
    lines.append(f'chmod -R a+rX "$RESULT/{number}"')
    return lines


def _quoted(text: str, places: Mapping[str, str]) -> str:
    """Return a word in double quotes in which the script's variables, and nothing else, count."""
    marked = {place: f"\0{number}\0" for number, place in enumerate(places)}
    kept = replace_places(text, marked)
    for character in '\\"$`':
        kept = kept.replace(character, "\\" + character)
    for place, mark in marked.items():
        kept = kept.replace(mark, places[place])
    return f'"{kept}"'


def write_lists(recipe: Recipe) -> None:
    """Write in which order files are made."""
    for name, files in (("sorted", recipe.files), ("reversed", recipe.files[::-1])):
        (recipe.folder / f"{name}.list").write_text("".join(f"{file}\n" for file in files))
