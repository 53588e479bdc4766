"""Fixtures that are the real thing: an engine, the images, a trained model, built firmwares.

They are made once for a test session and share the user's cache, so that what ``./invoke build``
made is not made again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from toolchain.actions import Runner, Step, StepResult, Store
from toolchain.actions.docker_executor import DockerExecutor
from toolchain.boards import Board, find_board
from toolchain.commands.test import REQUIRE_DOCKER_VARIABLE
from toolchain.console import VERBOSE_VARIABLE, PlainReporter
from toolchain.engine import Engine, open_engine
from toolchain.errors import EngineUnavailableError
from toolchain.files import remove_tree
from toolchain.images import Kind, project_pins
from toolchain.images.downloads import Downloads
from toolchain.images.ensure import ensure_images
from toolchain.images.fetch import Fetcher
from toolchain.images.site import site_settings
from toolchain.layout import Layout, project_layout
from toolchain.models import MODELS, Model
from toolchain.pins import Pins
from toolchain.pipeline import Pipeline
from toolchain.session import make_pipeline

# How long an example takes says nothing of the code on a machine that others use too.
settings.register_profile("toolchain", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("toolchain")

# What a CI's surroundings make of progress would be in what the tests look at.
for _name in ("GITHUB_ACTIONS", "GITLAB_CI", VERBOSE_VARIABLE):
    os.environ.pop(_name, None)

NO_ENGINE = "not run: there is no Docker Engine (./invoke test says what to do)"


@dataclass(frozen=True)
class FirmwareFiles:
    """A flashable file and the ELF that it was made from."""

    bin: Path
    elf: Path
    map: Path
    hex: Path


@dataclass(frozen=True)
class BuiltFirmware:
    hello_world: FirmwareFiles
    hello_world_test: FirmwareFiles


@pytest.fixture(scope="session")
def layout() -> Layout:
    return project_layout()


@pytest.fixture(scope="session")
def pins(layout: Layout) -> Pins:
    return project_pins(layout)


@pytest.fixture(scope="session")
def board(layout: Layout) -> Board:
    return find_board(layout.boards, "sparkfun_edge")


@pytest.fixture(scope="session")
def reporter() -> PlainReporter:
    return PlainReporter()


@pytest.fixture(scope="session")
def engine(layout: Layout, reporter: PlainReporter) -> Iterator[Engine]:
    try:
        with open_engine(layout, reporter) as engine:
            yield engine
    except EngineUnavailableError:
        if os.environ.get(REQUIRE_DOCKER_VARIABLE) == "1":
            raise
        pytest.skip(NO_ENGINE)


@pytest.fixture(scope="session")
def make_image(
    engine: Engine, pins: Pins, layout: Layout, reporter: PlainReporter
) -> Callable[[Kind], str]:
    def make(kind: Kind) -> str:
        # Nearly all tests need both of these, which are made side by side.
        pair: tuple[Kind, ...] = ("train", "cross")
        others = pair if kind in pair else ()
        names = ensure_images(engine, (kind, *others), layout=layout, pins=pins, reporter=reporter)
        return names[0]

    return make


def _image(kind: Kind) -> Any:
    @pytest.fixture(scope="session", name=f"{kind}_image")
    def image(make_image: Callable[[Kind], str]) -> str:
        return make_image(kind)

    return image


base_image, cross_image, host_image = _image("base"), _image("cross"), _image("host")
train_image, notebook_image = _image("train"), _image("notebook")
service_image = _image("service")


@pytest.fixture(scope="session")
def tflm_crate(
    engine: Engine, base_image: str, pins: Pins, layout: Layout, reporter: PlainReporter
) -> Path:
    """Return the archive that carries the pinned tree, fetched if it is not there."""
    site = site_settings(os.environ)
    fetcher = Fetcher(engine, base_image, pins=pins, layout=layout, reporter=reporter, site=site)
    return Downloads(layout.downloads).path(fetcher.crate(pins.tflm))


def docker_runner(engine: Engine, pins: Pins, layout: Layout, reporter: PlainReporter) -> Runner:
    """Return a runner in an engine that is open already, with the images of ``pins``."""
    store = Store(layout.store, reporter.warning)

    def make_executor() -> DockerExecutor:
        return DockerExecutor(
            engine.client,
            layout,
            store,
            rootless=engine.rootless,
            ensure_images=lambda names: ensure_images(
                engine, names, layout=layout, pins=pins, reporter=reporter
            ),
            reporter=reporter,
        )

    return Runner(layout, make_executor, reporter, store=store)


RunSteps = Callable[[Sequence[Step]], tuple[Runner, Mapping[str, StepResult]]]


@pytest.fixture(scope="session")
def run_steps(engine: Engine, pins: Pins, layout: Layout, reporter: PlainReporter) -> RunSteps:
    def run(steps: Sequence[Step]) -> tuple[Runner, Mapping[str, StepResult]]:
        runner = docker_runner(engine, pins, layout, reporter)
        return runner, runner.run(steps)

    return run


RunInImage = Callable[..., dict[str, bytes]]


@pytest.fixture
def run_in_image(
    engine: Engine, pins: Pins, layout: Layout, reporter: PlainReporter, tmp_path: Path
) -> RunInImage:
    """Run one command in a sandbox with a store of its own, so that nothing is known before."""
    scratch = Layout(project=layout.project, cache=tmp_path / "cache")

    def run(
        image: str,
        arguments: Sequence[str],
        inputs: Mapping[str, Path | bytes],
        outputs: Sequence[str],
    ) -> dict[str, bytes]:
        step = Step(
            name=f"test {len(list(tmp_path.iterdir()))}",
            image=image,
            arguments=tuple(arguments),
            inputs={PurePosixPath(path): source for path, source in inputs.items()},
            outputs=tuple(PurePosixPath(path) for path in outputs),
        )
        remove_tree(scratch.actions)
        runner = docker_runner(engine, pins, scratch, reporter)
        result = runner.run([step])[step.name]
        return {str(path): runner.store.get(digest) for path, digest in result.outputs.items()}

    return run


@pytest.fixture(scope="session")
def pipeline(pins: Pins, layout: Layout) -> Pipeline:
    return make_pipeline(layout, pins)


def _files(runner: Runner, result: StepResult, application: str, folder: Path) -> FirmwareFiles:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for path, digest in result.outputs.items():
        kind = path.suffix.removeprefix(".") or "elf"
        paths[kind] = folder / f"{application}.{kind}"
        paths[kind].write_bytes(runner.store.get(digest))
    return FirmwareFiles(paths["bin"], paths["elf"], paths["map"], paths["hex"])


BuildFirmwareFor = Callable[[Board, Model], BuiltFirmware]


@pytest.fixture(scope="session")
def build_firmware_for(
    pipeline: Pipeline, run_steps: RunSteps, tmp_path_factory: pytest.TempPathFactory
) -> BuildFirmwareFor:
    """Build both applications for a board with a model, from the cache where they are known."""

    def build(board: Board, model: Model) -> BuiltFirmware:
        applications = (model.application, model.test_application)
        steps = pipeline.firmware_steps([board], [model], "release", tests=True)
        runner, results = run_steps(steps)
        folder = tmp_path_factory.mktemp(model.name)
        return BuiltFirmware(
            *(
                _files(
                    runner,
                    results[f"firmware {name} {board.name} {model.name} release"],
                    name,
                    folder,
                )
                for name in applications
            )
        )

    return build


@pytest.fixture(scope="session")
def build_firmware(
    board: Board, build_firmware_for: BuildFirmwareFor
) -> Callable[[Model], BuiltFirmware]:
    return lambda model: build_firmware_for(board, model)


@pytest.fixture(scope="session")
def built_firmware(build_firmware: Callable[[Model], BuiltFirmware]) -> BuiltFirmware:
    return build_firmware(MODELS["sine_int8"])


Patches = Mapping[str, tuple[str, str]]
"""Text in a file of the workspace, by the file's name, and what takes its place."""

BuildVariant = Callable[[Patches], FirmwareFiles]
BuildVariantFor = Callable[[Board, Patches], FirmwareFiles]


@pytest.fixture(scope="session")
def build_variant(board: Board, build_variant_for: BuildVariantFor) -> BuildVariant:
    return lambda patches: build_variant_for(board, patches)


@pytest.fixture(scope="session")
def build_variant_for(
    pipeline: Pipeline, run_steps: RunSteps, tmp_path_factory: pytest.TempPathFactory
) -> BuildVariantFor:
    """Build hello_world for a board after replacing text in files of the workspace."""

    def build(board: Board, patches: Patches) -> FirmwareFiles:
        model = MODELS["sine_int8"]
        steps = pipeline.firmware_steps([board], [model], "release")
        (firmware,) = (step for step in steps if step.name.startswith("firmware "))
        inputs = dict(firmware.inputs)
        for name, (old, new) in patches.items():
            source = inputs[PurePosixPath(name)]
            assert not hasattr(source, "step"), f"{name} is made by a step"
            text = source.read_text() if isinstance(source, Path) else source.decode()
            assert old in text, f"{name} does not hold {old!r}"
            inputs[PurePosixPath(name)] = text.replace(old, new, 1).encode()
        variant = Step(
            name=firmware.name,
            image=firmware.image,
            arguments=firmware.arguments,
            inputs=inputs,
            outputs=firmware.outputs,
            working_directory=firmware.working_directory,
        )
        runner, results = run_steps([variant if step is firmware else step for step in steps])
        return _files(
            runner, results[variant.name], "hello_world", tmp_path_factory.mktemp("variant")
        )

    return build
