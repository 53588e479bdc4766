"""The Makefile in the real cross image, with the command line of the TensorFlow guides."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from toolchain.actions import Runner, Step, StepResult
from toolchain.boards import Board, find_board
from toolchain.engine import Engine
from toolchain.firmware.elf import ram_used, read_firmware_elf
from toolchain.firmware.formats.intel_hex import read_hex
from toolchain.firmware.generated import generated_files, target_arch
from toolchain.firmware.image import ImageRecord, image_problems, read_record
from toolchain.layout import Layout
from toolchain.pipeline import Pipeline

MAKE = "make -f tensorflow/lite/micro/tools/make/Makefile"
LIBRARY = "libtensorflow-microlite.a"
HEAVY = {"tflm/common/interpreter.cc", "model/sine_int8/model_operators.cc"}
PRODUCTS = ("hello_world", "hello_world.bin", "hello_world.hex", "hello_world.map")

MODEL: Mapping[str, str] = {
    "model_data.h": "extern const unsigned char g_model[];\nextern const int g_model_len;\n",
    "model_data.cc": '#include "model_data.h"\n'
    "alignas(16) const unsigned char g_model[] = {1, 2, 3, 4};\nconst int g_model_len = 4;\n",
    "model_operators.h": """\
#pragma once
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
extern const char kModelName[];
constexpr int kModelOperatorCount = 2;
constexpr tflite::BuiltinOperator kModelOperators[kModelOperatorCount] = {
    tflite::BuiltinOperator_FULLY_CONNECTED, tflite::BuiltinOperator_LOGISTIC};
TfLiteStatus RegisterModelOperators(tflite::MicroMutableOpResolver<kModelOperatorCount>& resolver);
""",
    "model_arena.h": "constexpr int kModelArenaSize = 2048;\n",
    "model_type.h": '#include "tensorflow/lite/c/common.h"\n'
    "constexpr TfLiteType kModelType = kTfLiteInt8;\n",
    "model_operators.cc": """\
#include "model_operators.h"
#include "tensorflow/lite/micro/kernels/micro_ops.h"
const char kModelName[] = "sine_int8";
TfLiteStatus RegisterModelOperators(
    tflite::MicroMutableOpResolver<kModelOperatorCount>& resolver) {
  using namespace tflite;
  TF_LITE_ENSURE_STATUS(resolver.AddBuiltin(
      BuiltinOperator_FULLY_CONNECTED, ops::micro::Register_FULLY_CONNECTED(), 4));
  return resolver.AddBuiltin(BuiltinOperator_LOGISTIC, ops::micro::Register_LOGISTIC(), 1);
}
""",
}


@dataclass(frozen=True)
class Ran:
    exit_code: int
    output: str

    @property
    def done(self) -> list[tuple[str, str]]:
        """What make announced: (verb, file)."""
        return re.findall(r"^  ([A-Z]+) +(\S+)$", self.output, re.MULTILINE)


Shell = Callable[..., Ran]


@pytest.fixture(scope="session")
def shell(engine: Engine, cross_image: str) -> Shell:
    """Run a shell command in the cross image, in the root of the tree, without network.

    As the user of these tests, who can write to the mounted folders, or else as the image's own.
    """

    def run(
        command: str,
        mounts: Mapping[Path, str],
        *,
        environment: Mapping[str, str] | None = None,
        as_user: bool = True,
    ) -> Ran:
        user = "0:0" if engine.rootless else f"{os.getuid()}:{os.getgid()}"
        container = engine.client.containers.create(
            cross_image,
            ["sh", "-c", command],
            working_dir="/opt/tflm",
            network_mode="none",
            user=user if as_user else None,
            environment=dict(environment or {}),
            volumes={
                str(path): {"bind": where, "mode": "ro" if where.startswith("/p") else "rw"}
                for path, where in mounts.items()
            },
        )
        try:
            container.start()
            exit_code = container.wait(timeout=300)["StatusCode"]
            return Ran(exit_code, container.logs().decode())
        finally:
            container.remove(force=True)

    return run


def write_workspace(folder: Path, layout: Layout, board: Board) -> None:
    for name in ("tflm", "boards/common", f"boards/{board.name}"):
        if not (folder / name).exists() and (layout.project / name).is_dir():
            shutil.copytree(layout.project / name, folder / name)
    for path, data in generated_files(board).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    model = folder / "model" / "sine_int8"
    model.mkdir(parents=True, exist_ok=True)
    for name, text in MODEL.items():
        (model / name).write_text(text)


@pytest.fixture(scope="session")
def library(
    pipeline: Pipeline,
    board: Board,
    run_steps: Callable[[Sequence[Step]], tuple[Runner, Mapping[str, StepResult]]],
) -> bytes:
    """The library as the pipeline makes it: by TARGET_ARCH, without TARGET."""
    step = pipeline.firmwares.library(board, "release")
    runner, results = run_steps([step])
    return runner.store.get(results[step.name].outputs[PurePosixPath("lib") / LIBRARY])


@pytest.fixture(scope="session")
def interpreter(
    shell: Shell, layout: Layout, board: Board, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, bytes]:
    """What ``make interpreter`` makes, by file name."""
    folder, made = tmp_path_factory.mktemp("workspace"), tmp_path_factory.mktemp("gen")
    write_workspace(folder, layout, board)
    ran = shell(
        f"{MAKE} GENDIR=/gen TARGET_ARCH={target_arch(board)} interpreter",
        {folder: "/project", made: "/gen"},
    )
    assert ran.exit_code == 0, ran.output
    assert {file for _, file in ran.done} == HEAVY
    names = ("interpreter.sha256", *(f"{source}.o" for source in HEAVY))
    return {Path(name).name: (made / "obj" / name).read_bytes() for name in names}


@pytest.fixture
def workspace(
    tmp_path: Path, layout: Layout, board: Board, library: bytes, interpreter: Mapping[str, bytes]
) -> Path:
    """A workspace with everything compiled before that can be."""
    folder = tmp_path / "workspace"
    write_workspace(folder, layout, board)
    place = folder / "lib" / f"{target_arch(board)}_release"
    (place / "sine_int8").mkdir(parents=True)
    (place / LIBRARY).write_bytes(library)
    for name, data in interpreter.items():
        (place / "sine_int8" / name).write_bytes(data)
    return folder


@pytest.fixture
def gen(tmp_path: Path) -> Path:
    folder = tmp_path / "gen"
    folder.mkdir()
    return folder


def test_the_line_of_the_guides_builds_the_same_bytes_as_any_other_place_and_setting(
    shell: Shell, workspace: Path, gen: Path, board: Board
) -> None:
    name = f"{board.name}_{target_arch(board)}_release"
    literal = shell(
        f"{MAKE} TARGET={board.name} hello_world_bin"
        f" && cd tensorflow/lite/micro/tools/make/gen/{name}/bin && sha256sum *",
        {workspace: "/project"},
        as_user=False,
    )
    assert literal.exit_code == 0, literal.output
    assert not HEAVY & {file for verb, file in literal.done if verb == "CXX"}

    shutil.rmtree(workspace / "lib" / f"{target_arch(board)}_release" / "sine_int8")
    elsewhere = shell(
        f"umask 077; {MAKE} -j1 PROJECT=/place/of/work/ GENDIR=/gen/deep/er/"
        f" TARGET={board.name} hello_world_bin",
        {workspace: "/place/of/work", gen: "/gen"},
        environment={"LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo", "CPATH": "/nowhere"},
    )
    assert elsewhere.exit_code == 0, elsewhere.output
    assert {file for verb, file in elsewhere.done if verb == "CXX"} >= HEAVY
    for product in PRODUCTS:
        data = (gen / "deep" / "er" / "bin" / product).read_bytes()
        assert f"{hashlib.sha256(data).hexdigest()}  {product}\n" in literal.output
        assert b"/project" not in data
        assert b"/place" not in data


def test_the_library_does_not_depend_on_where_the_tree_stands(
    shell: Shell, workspace: Path
) -> None:
    source = "tensorflow/lite/micro/kernels/fully_connected.cc"
    ran = shell(
        f"set -e; cp -r /opt/tflm /tmp/tree; for tree in /opt/tflm /tmp/tree; do cd $tree;"
        f" {MAKE} TARGET_ARCH=cortex-m4+fp GENDIR=/tmp/gen$tree /tmp/gen$tree/obj/{source}.o; done;"
        f" cmp /tmp/gen/opt/tflm/obj/{source}.o /tmp/gen/tmp/tree/obj/{source}.o && echo SAME",
        {workspace: "/project"},
        as_user=False,
    )
    assert ran.exit_code == 0, ran.output
    assert ran.done == [("CXX", source)] * 2
    assert ran.output.endswith("SAME\n")


def test_a_second_board_of_the_same_core_shares_the_library(
    shell: Shell, workspace: Path, gen: Path, board: Board, layout: Layout
) -> None:
    second = board.model_copy(update={"name": "second_board"})
    shutil.copytree(layout.boards / board.name, workspace / "boards" / "second_board")
    for path in (workspace / "boards" / "second_board").glob("*.*"):
        path.write_text(path.read_text().replace(board.name, "second_board"))
    write_workspace(workspace, layout, second)
    ran = shell(
        f"{MAKE} list_targets && {MAKE} GENDIR=/gen TARGET=second_board hello_world",
        {workspace: "/project", gen: "/gen"},
    )
    assert ran.exit_code == 0, ran.output
    assert ran.output.splitlines()[:2] == sorted([board.name, "second_board"])
    assert not [file for _, file in ran.done if file.startswith("tensorflow/")]
    assert b"second_board" in (gen / "bin" / "hello_world").read_bytes()


def test_another_name_of_a_board_builds_the_same_bytes_in_the_same_place(
    shell: Shell, workspace: Path, layout: Layout
) -> None:
    write_workspace(workspace, layout, find_board(layout.boards, "arduino"))
    ran = shell(
        f"set -e; {MAKE} TARGET=arduino_nano_33_ble GENDIR=/tmp/gen hello_world_bin;"
        f" {MAKE} TARGET=arduino hello_world_bin; {MAKE} list_targets;"
        f" cd tensorflow/lite/micro/tools/make/gen/arduino_nano_33_ble_cortex-m4+fp_release/bin;"
        f" for file in *; do cmp $file /tmp/gen/bin/$file && echo SAME $file; done",
        {workspace: "/project"},
        as_user=False,
    )
    assert ran.exit_code == 0, ran.output
    assert not [file for _, file in ran.done if file.startswith("tensorflow/")]
    assert "\narduino_nano_33_ble\nsparkfun_edge\n" in ran.output
    assert re.findall(r"^SAME (\S+)$", ran.output, re.MULTILINE) == list(PRODUCTS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("TARGET=arduino hello_world", r"unknown TARGET 'arduino'.*has sparkfun_edge"),
        ("TARGET=sparkfun_egde hello_world", r"unknown TARGET 'sparkfun_egde'.*sparkfun_edge"),
        ("hello_world_bin", r"no TARGET was given.*sparkfun_edge"),
        ("TARGET_ARCH=cortex-m0 microlite", r"unknown TARGET_ARCH 'cortex-m0'.*cortex-m4\+fp"),
        ("TARGET=sparkfun_edge TARGET_ARCH=cortex-m7+fp microlite", r"needs -mcpu=cortex-m4"),
        ("TARGET_ARCH=native microlite", r"there is no x86_64-\S+g\+\+ here"),
        ("TARGET=sparkfun_edge SANITIZE=1 microlite", r"SANITIZE=1: it is 0, or 1 with .*=native"),
        ("TARGET=sparkfun_edge host_runner", r"host_runner is built with TARGET_ARCH=native"),
        ("TARGET=sparkfun_edge BUILD_TYPE=fast microlite", r"unknown BUILD_TYPE 'fast'.*release"),
        ("TARGET=sparkfun_edge MODEL=cosine hello_world", r"unknown MODEL 'cosine'.*sine_int8"),
        ("TARGET=sparkfun_edge OPTIMIZED_KERNEL_DIR=x microlite", r"unknown OPTIMIZED_KERNEL_DIR"),
        ("TARGET=sparkfun_edge GENDIR=/project/gen hello_world", r"cannot write to GENDIR"),
        ("TARGET=sparkfun_edge test_hello_world_test", r"\./invoke verify"),
        ("PROJECT=/nothing TARGET=sparkfun_edge microlite", r"nothing is mounted at /nothing"),
    ],
)
def test_a_wrong_command_line_is_one_clear_error(
    shell: Shell, workspace: Path, arguments: str, message: str
) -> None:
    ran = shell(f"{MAKE} {arguments}", {workspace: "/project"})
    assert ran.exit_code != 0
    assert re.search(message, ran.output), ran.output
    assert not ran.done


def test_an_edit_rebuilds_only_what_it_must(
    shell: Shell, workspace: Path, gen: Path, board: Board
) -> None:
    def make(arguments: str = "") -> Ran:
        ran = shell(
            f"{MAKE} GENDIR=/gen TARGET={board.name} {arguments} hello_world_bin",
            {workspace: "/project", gen: "/gen"},
        )
        assert ran.exit_code == 0, ran.output
        return ran

    products = {"bin/hello_world", "bin/hello_world.bin", "bin/hello_world.hex"}
    assert len(make().done) > len(products)
    assert make().done == []

    source = workspace / "boards" / board.name / "board.cc"
    source.write_text(source.read_text() + "\n")
    assert {file for _, file in make().done} == {f"boards/{board.name}/board.cc", *products}

    header = workspace / "tflm" / "hello_world" / "constants.h"
    header.write_text(header.read_text() + "\n")
    assert {file for verb, file in make().done if verb == "CXX"} == {
        f"boards/{board.name}/constants.cc",
        "tflm/hello_world/main_functions.cc",
    }

    before = (gen / "bin" / "hello_world.bin").read_bytes()
    recompiled = {file for verb, file in make("OPTIMIZATION_LEVEL=-O1").done if verb == "CXX"}
    assert {f"boards/{board.name}/board.cc", *HEAVY} <= recompiled
    assert (gen / "bin" / "hello_world.bin").read_bytes() != before


def test_an_interpreter_compiled_from_other_sources_is_not_linked(
    shell: Shell, workspace: Path, gen: Path, board: Board
) -> None:
    header = workspace / "model" / "sine_int8" / "model_operators.h"
    header.write_text(header.read_text() + "// changed\n")
    ran = shell(
        f"{MAKE} GENDIR=/gen TARGET={board.name} hello_world",
        {workspace: "/project", gen: "/gen"},
    )
    assert ran.exit_code == 0, ran.output
    assert {file for verb, file in ran.done if verb == "CXX"} >= HEAVY


def test_an_image_that_does_not_fit_is_not_linked(
    shell: Shell, workspace: Path, gen: Path, board: Board
) -> None:
    script = workspace / "boards" / board.name / "generated" / "memory.ld"
    whole = f"0x{board.application.max_length:08X}"
    script.write_text(script.read_text().replace(f"LENGTH = {whole}", "LENGTH = 0x00001000"))
    ran = shell(
        f"{MAKE} GENDIR=/gen TARGET={board.name} hello_world",
        {workspace: "/project", gen: "/gen"},
    )
    assert ran.exit_code != 0
    assert "region `flash' overflowed" in ran.output
    assert not (gen / "bin" / "hello_world").exists()


def test_the_hex_file_loads_every_byte_of_the_image(built_firmware: object, board: Board) -> None:
    files = built_firmware.hello_world  # type: ignore[attr-defined]
    loaded = read_hex(files.hex.read_bytes())
    assert loaded.data == files.bin.read_bytes()
    assert loaded.address == board.application.load_address


def test_the_image_says_how_long_it_is_and_for_which_board(
    built_firmware: object, board: Board
) -> None:
    image = built_firmware.hello_world.bin.read_bytes()  # type: ignore[attr-defined]
    record = read_record(image, board.application.load_address)
    assert record == ImageRecord(len(image), board.name)
    assert image_problems(board, image) == []


def test_the_release_firmware_of_the_sine_model_is_small(
    built_firmware: object, board: Board
) -> None:
    files = built_firmware.hello_world  # type: ignore[attr-defined]
    assert files.bin.stat().st_size <= 20 * 1024
    assert ram_used(board, read_firmware_elf(files.elf.read_bytes())) <= 6 * 1024
