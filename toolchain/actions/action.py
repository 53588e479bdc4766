"""From a step, whose inputs are known by content, to the action that is its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.actions.encoding import encode_action, encode_command
from toolchain.actions.messages import Action, Command, Platform
from toolchain.actions.model import PROJECT_FOLDER, OutputOf, Step, StepGraphError
from toolchain.actions.tree import InputTree, build_tree, check_relative
from toolchain.digest import Digest

# Names what a sandbox gives to a command: the folders /project, /out and /tmp, no network, the
# user. Raise the number when that changes in a way that can change a result.
SANDBOX = "tinyml-toolchain/1"


@dataclass(frozen=True)
class PreparedAction:
    """A step with everything that its executor needs.

    Attributes:
        digest: of ``encoded_action``: the key in the action cache.
    """

    step: Step
    tree: InputTree
    digest: Digest
    encoded_action: bytes
    encoded_command: bytes

    @property
    def command_digest(self) -> Digest:
        """Digest of ``encoded_command``."""
        return Digest.of_bytes(self.encoded_command)


def prepare_action(step: Step, known: Mapping[OutputOf, Digest]) -> PreparedAction:
    """Return the action of ``step``.

    The input root is ``/project``, and output paths are relative to ``/out``. A working directory
    outside the input root has no form in the API's ``Command`` and is a platform property.

    Args:
        step: what to run.
        known: the content of every input that is another step's output.

    Raises:
        StepGraphError: a path that leaves its folder, or an output that ``known`` lacks.
        StepFailedError: an input file of the host is missing or unreadable.
    """
    inputs: dict[PurePosixPath, Path | bytes | Digest] = {}
    for path, source in step.inputs.items():
        if isinstance(source, OutputOf):
            if source not in known:
                raise StepGraphError(f"'{source.step}' has no output '{source.path}'")
            inputs[path] = known[source]
        else:
            inputs[path] = source
    for path in step.outputs:
        check_relative(path)
    tree = build_tree(inputs)
    properties = {"container-image": step.image, "sandbox": SANDBOX}
    folder = PurePosixPath(step.working_directory)
    relative = ""
    if folder.is_relative_to(PROJECT_FOLDER):
        inside = folder.relative_to(PROJECT_FOLDER)
        relative = "/".join(inside.parts)
    else:
        properties["working-directory"] = str(folder)
    platform = Platform(properties)
    command = encode_command(
        Command(
            arguments=step.arguments,
            environment_variables=step.full_environment,
            platform=platform,
            working_directory=relative,
            output_paths=tuple(str(path) for path in step.outputs),
        )
    )
    action = encode_action(
        Action(
            command_digest=Digest.of_bytes(command),
            input_root_digest=tree.root,
            timeout_seconds=step.timeout_seconds,
            platform=platform,
        )
    )
    return PreparedAction(step, tree, Digest.of_bytes(action), action, command)
