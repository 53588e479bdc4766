"""The Arduino library, compiled as the Arduino builder does and run in the simulator."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from simulator import SimulationRequest, SimulationResult, simulate
from tests.conftest import RunInImage, RunSteps
from toolchain.actions import OutputOf, Step
from toolchain.boards import Board, Package
from toolchain.firmware.formats import find_format
from toolchain.firmware.formats.arduino_library import (
    COMPILED,
    TOP_FOLDER,
    check_library,
    read_archive,
)
from toolchain.firmware.generated import generated_files
from toolchain.layout import Layout
from toolchain.models import MODELS, Model
from toolchain.pipeline import Pipeline
from toolchain.verification.sine import Observation, agreement, read_reference

INFERENCES = 120

ARDUINO_H = """\
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#define HIGH 0x1
#define LOW 0x0
#define OUTPUT 0x1
#define LED_BUILTIN (13u)
#define PI 3.1415926535897932384626433832795
#define DEG_TO_RAD 0.017453292519943295769236907684886
#define abs(x) ((x) > 0 ? (x) : -(x))
#define sq(x) ((x) * (x))
#define constrain(amt, low, high) ((amt) < (low) ? (low) : ((amt) > (high) ? (high) : (amt)))
#define bit(b) (1UL << (b))
#define F(text) (text)
#define B1 1
#define DEFAULT 1
#define EXTERNAL 0
extern "C" {
void pinMode(uint8_t pin, uint8_t mode);
void analogWrite(uint8_t pin, int value);
void delay(unsigned long ms);
void setup(void);
void loop(void);
}
class SerialPort {
 public:
  void begin(unsigned long baud);
  size_t write(const uint8_t* data, size_t length);
  void flush();
 private:
  bool open_ = false;
};
extern SerialPort Serial;
"""

CORE = """\
#include <Arduino.h>
#include "boards/common/board.h"
SerialPort Serial;
static bool g_led_is_output = false;
void SerialPort::begin(unsigned long baud) { open_ = baud == 115200; }
size_t SerialPort::write(const uint8_t* data, size_t length) {
  if (!open_) return 0;
  BoardConsoleWrite(reinterpret_cast<const char*>(data), length);
  return length;
}
void SerialPort::flush() { BoardConsoleFlush(); }
void pinMode(uint8_t pin, uint8_t mode) { g_led_is_output = pin == LED_BUILTIN && mode == OUTPUT; }
void analogWrite(uint8_t pin, int value) {
  if (g_led_is_output && pin == LED_BUILTIN) BoardSetLed(0, value / 255.0f);
}
void delay(unsigned long) { __asm volatile("wfe"); }
int main() {
  BoardInit();
  setup();
  for (;;) loop();
}
"""

# The core's own use of the board's functions, apart from the sketch's functions of the same names.
RENAMES = " ".join(
    f"-D{name}=Core{name}"
    for name in (
        *("BoardInit", "BoardConsoleWrite", "BoardConsoleFlush", "BoardSetLed"),
        *("BoardHalt", "BoardFatal"),
    )
)

BUILD = """\
set -eu
core='-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard'
defines='-DARDUINO=10819 -DARDUINO_ARDUINO_NANO33BLE -DARDUINO_ARCH_MBED_NANO'
flags="$core -Os -g -w -ffunction-sections -fdata-sections $defines -I/project/core"
cxx="arm-none-eabi-g++ -std=gnu++14 -fno-exceptions -fno-rtti -fno-threadsafe-statics $flags"
mkdir -p /tmp/sketch /tmp/obj /out
cp examples/hello_world/*.cpp examples/hello_world/*.h /tmp/sketch
echo '#include <Arduino.h>' > /tmp/sketch/sketch.ino.cpp
cat examples/hello_world/hello_world.ino >> /tmp/sketch/sketch.ino.cpp

{ find src -name '*.cpp' -o -name '*.c'; find /tmp/sketch -name '*.cpp'; } | sort > /out/sources.txt
while read -r source; do
    object=/tmp/obj/$(echo "$source" | tr / _).o
    case $source in
        *.c) echo "arm-none-eabi-gcc -std=gnu11 $flags -Isrc -c $source -o $object" ;;
        *) echo "$cxx -Isrc -c $source -o $object" ;;
    esac
done < /out/sources.txt | tr '\\n' '\\0' | xargs -0 -P 2 -I COMMAND sh -c 'COMMAND' 2>&1
ls /tmp/obj | wc -l > /out/objects.txt

for source in core/core.cpp board/boards/common/startup.cc board/boards/common/runtime.cc \\
        board/boards/sparkfun_edge/board.cc; do
    arm-none-eabi-g++ -std=c++17 -fno-exceptions -fno-rtti -fno-use-cxa-atexit $flags @RENAMES@ \\
        -DBOARD_CLOCK_HZ=48000000 -DBOARD_BAUD=115200 -DBOARD_VECTOR_WORDS=48 \\
        -Iboard -c $source -o /tmp/obj/core_$(basename $source).o
done
arm-none-eabi-g++ $core -nostartfiles --specs=nano.specs -T board/memory.ld -Wl,--gc-sections \\
    -Wl,--no-undefined -Wl,--nmagic -Wl,--fatal-warnings /tmp/obj/*.o -lm -o /out/sketch.elf
arm-none-eabi-objcopy -O binary /out/sketch.elf /out/sketch.bin
""".replace("@RENAMES@", RENAMES)


@dataclass(frozen=True)
class Sketch:
    """A library and what became of it."""

    archive: bytes
    inputs: Mapping[PurePosixPath, bytes]
    sources: str
    objects: int
    image: bytes
    elf: bytes


@pytest.fixture(scope="module")
def arduino_board(board: Board) -> Board:
    package = Package(formats=("bin", "hex", "arduino_library"))
    return board.model_copy(update={"package": package})


@pytest.fixture(scope="module")
def make_sketch(
    arduino_board: Board, pipeline: Pipeline, layout: Layout, run_steps: RunSteps
) -> Callable[[Model], Sketch]:
    def make(model: Model) -> Sketch:
        steps = pipeline.firmware_steps([arduino_board], [model], "release")
        runner, results = run_steps(steps)
        inputs = {
            path: runner.store.get(results[source.step].outputs[source.path])
            if isinstance(source, OutputOf)
            else source.read_bytes()
            if isinstance(source, Path)
            else source
            for path, source in pipeline.firmwares.format_inputs(
                arduino_board, model, "release", "arduino_library"
            ).items()
        }
        kind = find_format("arduino_library")
        archive = kind.write(arduino_board, inputs)
        kind.check(arduino_board, inputs, archive)

        files: dict[PurePosixPath, Path | bytes | OutputOf] = dict(read_archive(archive))
        files[PurePosixPath("core/Arduino.h")] = ARDUINO_H.encode()
        files[PurePosixPath("core/core.cpp")] = CORE.encode()
        for folder in ("common", arduino_board.name):
            for path in (layout.boards / folder).iterdir():
                if path.suffix in {".cc", ".h"}:
                    files[PurePosixPath("board/boards", folder, path.name)] = path
        for place, data in generated_files(arduino_board).items():
            files[PurePosixPath("board") / place.name] = data
        step = Step(
            name=f"sketch {model.name}",
            image=pipeline.cross_image,
            arguments=("sh", "-c", BUILD),
            inputs=files,
            outputs=tuple(
                PurePosixPath(name)
                for name in ("sources.txt", "objects.txt", "sketch.elf", "sketch.bin")
            ),
            timeout_seconds=900,
        )
        runner, results = run_steps([step])
        made = {
            str(path): runner.store.get(digest)
            for path, digest in results[step.name].outputs.items()
        }
        return Sketch(
            archive=archive,
            inputs=inputs,
            sources=made["sources.txt"].decode(),
            objects=int(made["objects.txt"]),
            image=made["sketch.bin"],
            elf=made["sketch.elf"],
        )

    return make


@pytest.fixture(scope="module")
def sketch(make_sketch: Callable[[Model], Sketch]) -> Sketch:
    return make_sketch(MODELS["sine_int8"])


@pytest.fixture(scope="module")
def run(
    sketch: Sketch, arduino_board: Board, tmp_path_factory: pytest.TempPathFactory
) -> SimulationResult:
    elf = tmp_path_factory.mktemp("sketch") / "sketch.elf"
    elf.write_bytes(sketch.elf)
    return simulate(
        SimulationRequest(board=arduino_board, image=sketch.image, elf=elf, inferences=INFERENCES)
    )


def test_every_source_compiles_with_src_as_the_only_include_folder_and_all_link(
    sketch: Sketch,
) -> None:
    library = read_archive(sketch.archive)
    compiled = [
        path for path in library if path.parts[0] == "src" and path.suffix in {".cpp", ".c"}
    ]
    example = [path for path in library if path.suffix in {".cpp", ".ino"} and path not in compiled]
    assert len(compiled) == len(sketch.inputs[COMPILED].split()) > 10
    assert len(sketch.sources.split()) == sketch.objects == len(compiled) + len(example)
    assert PurePosixPath("examples/hello_world/hello_world.ino") in example
    assert sketch.image


def test_the_sketch_computes_what_the_model_computes(
    run: SimulationResult,
    pipeline: Pipeline,
    run_steps: RunSteps,
) -> None:
    model = MODELS["sine_int8"]
    steps = [
        pipeline.models.train("sine"),
        pipeline.models.convert("sine"),
        pipeline.models.reference(model),
    ]
    runner, results = run_steps(steps)
    digest = results[f"reference {model.name}"].outputs[PurePosixPath("reference.json")]
    reference = read_reference(runner.store.path(digest))
    observed = [
        Observation(each.raw_in, each.raw_out, each.x_bits, each.y_bits)
        for each in run.inferences
        if each.raw_in is not None and each.raw_out is not None
    ]
    agreed = agreement(reference, observed)
    assert (agreed.inferences, agreed.known, agreed.equal) == (INFERENCES,) * 3
    assert "\nhello_world: board=arduino model=sine_int8 type=int8 arena=" in run.console


def test_the_built_in_led_follows_the_sine(run: SimulationResult, arduino_board: Board) -> None:
    led = arduino_board.led[0].name
    for each in run.inferences:
        wanted = min(max((each.y + 1) / 2, 0.0), 1.0)
        assert abs(each.brightness[led] - wanted) <= 1 / 255
    assert max(each.brightness[led] for each in run.inferences) > 0.8


def test_the_float_model_makes_a_sketch_too(make_sketch: Callable[[Model], Sketch]) -> None:
    sketch = make_sketch(MODELS["sine_float"])
    assert sketch.image
    assert b" type=float\0" in sketch.image


def test_the_sources_and_the_archive_are_the_same_bytes_when_they_are_made_again(
    sketch: Sketch,
    pipeline: Pipeline,
    arduino_board: Board,
    run_steps: RunSteps,
    run_in_image: RunInImage,
) -> None:
    model = MODELS["sine_int8"]
    step = pipeline.firmwares.sources(arduino_board, model, "release")
    runner, results = run_steps(pipeline.firmware_steps([arduino_board], [model], "release"))
    inputs: dict[str, Path | bytes] = {}
    for path, source in step.inputs.items():
        if isinstance(source, OutputOf):
            inputs[str(path)] = runner.store.get(results[source.step].outputs[source.path])
        else:
            inputs[str(path)] = source
    arguments = ["sh", "-c", 'cd /opt/tflm && exec "$@"', "sh", *step.arguments]
    names = ("sources.tar", "sources.txt")
    again = run_in_image(step.image, arguments, inputs, names)
    for name in names:
        assert again[name] == sketch.inputs[PurePosixPath(name)]
    files = dict(reversed(list(sketch.inputs.items()))) | {
        PurePosixPath(name): again[name] for name in names
    }
    assert find_format("arduino_library").write(arduino_board, files) == sketch.archive


def test_the_archive_is_one_folder_that_the_ide_can_install(sketch: Sketch) -> None:
    with zipfile.ZipFile(io.BytesIO(sketch.archive)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names == sorted(names)
    assert {name.split("/")[0] for name in names} == {TOP_FOLDER}
    check_library(read_archive(sketch.archive))
    for name, data in read_archive(sketch.archive).items():
        assert b"/project" not in data, name
        assert b"/opt/tflm" not in data, name
