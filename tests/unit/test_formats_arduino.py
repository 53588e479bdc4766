from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.boards import find_board
from toolchain.firmware.formats import FormatError, find_format
from toolchain.firmware.formats.arduino_library import (
    ARCHIVE,
    COMPILED,
    check_library,
    library_files,
    read_archive,
    write_archive,
)

PROJECT = Path(__file__).resolve().parents[2]
BOARD = find_board(PROJECT / "boards", "sparkfun_edge")
DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"
TREE = {
    "copyright": "Apache",
    "tensorflow/lite/a.cc": '#include "tensorflow/lite/a.h"\n#include <utility.h>\nint a;\n',
    "tensorflow/lite/a.h": '#  include "fixedpoint/f.h"\n#include "flatbuffers/base.h" // why\n',
    "tensorflow/lite/part.cc": '#include "not/there.h"\nint part;\n',
    "tensorflow/lite/c.c": "int c;\n",
    "tensorflow/lite/core/api/flatbuffer_conversions.cc": "",
    "tensorflow/lite/c/common.h": "",
    "tensorflow/lite/micro/debug_log.h": "",
    "tensorflow/lite/micro/micro_error_reporter.h": "",
    "tensorflow/lite/micro/micro_interpreter.h": "",
    "tensorflow/lite/micro/micro_string.h": "",
    "tensorflow/lite/version.h": "",
    f"{DOWNLOADS}/gemmlowp/fixedpoint/f.h": '#include "../internal/g.h"\n',
    f"{DOWNLOADS}/gemmlowp/internal/g.h": "",
    f"{DOWNLOADS}/flatbuffers/include/flatbuffers/base.h": "#include <vector>\n",
    f"{DOWNLOADS}/ruy/LICENSE": "Apache",
}
MODEL = {
    "model_data.h": "",
    "model_data.cc": '#include "model_data.h"\n',
    "model_arena.h": "",
    "model_type.h": '#include "tensorflow/lite/c/common.h"\n',
    "model_operators.h": '#include "tensorflow/lite/part.cc"\n',
    "model_operators.cc": '#include "model_operators.h"\n',
}


def tar(files: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def inputs(
    tree: dict[str, str] = TREE,
    compiled: str = "tensorflow/lite/a.cc tensorflow/lite/c.c",
    application: str = "hello_world",
) -> dict[PurePosixPath, bytes]:
    files = {ARCHIVE: tar(tree), COMPILED: compiled.encode()}
    for folder in ("tflm/common", f"tflm/{application}", "tflm/arduino"):
        for path in (PROJECT / folder).iterdir():
            files[PurePosixPath(folder, path.name)] = path.read_bytes()
    files[PurePosixPath("boards/common/board.h")] = b"#include <cstddef>\n"
    files |= {PurePosixPath("model/sine", name): text.encode() for name, text in MODEL.items()}
    return files


LIBRARY = library_files(inputs())


def text(path: str) -> str:
    return LIBRARY[PurePosixPath(path)].decode()


def test_sources_get_the_names_and_includes_that_the_builder_needs() -> None:
    assert text("src/tensorflow/lite/a.cpp") == (
        '#include "TensorFlowLite.h"\n#include "tensorflow/lite/a.h"\n#include <utility>\nint a;\n'
    )
    assert text("src/tensorflow/lite/a.h") == (
        '#include "TensorFlowLite.h"\n#  include "third_party/gemmlowp/fixedpoint/f.h"\n'
        '#include "third_party/flatbuffers/include/flatbuffers/base.h" // why\n'
    )
    assert '"third_party/gemmlowp/internal/g.h"' in text("src/third_party/gemmlowp/fixedpoint/f.h")
    assert text("src/tensorflow/lite/c.c") == '#include "TensorFlowLite.h"\nint c;\n'


def test_a_source_that_another_file_includes_is_not_compiled_on_its_own() -> None:
    assert text("src/tensorflow/lite/part.inc").endswith('#include "not/there.h"\nint part;\n')
    assert text("examples/hello_world/model_operators.h") == (
        '#include "tensorflow/lite/part.inc"\n'
    )


def test_the_example_is_flat_and_its_sketch_has_setup_and_loop() -> None:
    sketch = text("examples/hello_world/hello_world.ino")
    assert "#include <TensorFlowLite.h>\n" in sketch
    assert "void setup() {" in sketch
    assert "void loop() {" in sketch
    assert "main_functions.h" not in sketch
    names = {path.name for path in LIBRARY if path.parent == PurePosixPath("examples/hello_world")}
    assert {"hello_world.ino", "inference.cpp", "model_data.cpp", "board.cpp"} <= names
    assert not {"main.cpp", "main_functions.cpp", "hello_world_test.cpp"} & names
    assert "analogWrite(LED_BUILTIN" in text("examples/hello_world/board.cpp")
    assert "(inference.y + 1.0f) / 2.0f" in text("examples/hello_world/output_handler.cpp")
    for name in names:
        assert "tflm/" not in "".join(
            line for line in text(f"examples/hello_world/{name}").splitlines() if "#include" in line
        )


def test_any_application_with_setup_and_loop_becomes_the_example() -> None:
    files = inputs(application="model_runner")
    files[PurePosixPath("model/mine/model_cases.cc")] = b'#include "tflm/model_runner/cases.h"\n'
    library = library_files(files)
    check_library(library)
    names = {path.name for path in library if path.parts[0] == "examples"}
    assert {"model_runner.ino", "cases.cpp", "cases.h", "model_cases.cpp", "arena.cpp"} <= names
    assert not {"main.cpp", "main_functions.cpp", "output_handler.cpp", "constants.cpp"} & names
    sketch = library[PurePosixPath("examples/model_runner/model_runner.ino")]
    assert b"void setup() {" in sketch


@pytest.mark.parametrize("folders", [(), ("hello_world", "model_runner")])
def test_a_library_has_exactly_one_application(folders: tuple[str, ...]) -> None:
    files = {path: data for path, data in inputs().items() if path.name != "main_functions.cc"}
    for folder in folders:
        files[PurePosixPath("tflm", folder, "main_functions.cc")] = b""
    with pytest.raises(FormatError, match="not one application"):
        library_files(files)


def test_a_source_that_is_compiled_and_included_would_be_linked_twice() -> None:
    both = "tensorflow/lite/a.cc tensorflow/lite/part.cc"
    with pytest.raises(FormatError, match="compiled and also included"):
        library_files(inputs(compiled=both))


@pytest.mark.parametrize(
    ("tree", "compiled", "message"),
    [
        (TREE, "tensorflow/lite/gone.cc", "incomplete"),
        (TREE, "", "incomplete"),
        (
            TREE | {"tensorflow/lite/c.c": '#include "model_data.h"\n'},
            "tensorflow/lite/c.c",
            "not of",
        ),
    ],
)
def test_sources_that_do_not_make_a_library_are_refused(
    tree: dict[str, str], compiled: str, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        library_files(inputs(tree, compiled))


def test_a_damaged_archive_of_sources_is_refused() -> None:
    files = inputs()
    files[ARCHIVE] = files[ARCHIVE][:700]
    with pytest.raises(FormatError, match="damaged"):
        library_files(files)


@settings(max_examples=20)
@given(st.randoms())
def test_the_archive_depends_on_the_files_alone(order: object) -> None:
    files = list(inputs().items())
    order.shuffle(files)  # type: ignore[attr-defined]
    assert find_format("arduino_library").write(BOARD, dict(files)) == write_archive(LIBRARY)


def test_the_archive_is_read_as_it_was_written() -> None:
    data = write_archive(LIBRARY)
    assert read_archive(data) == LIBRARY
    find_format("arduino_library").check(BOARD, inputs(), data)


@given(st.integers(0, 3000), st.integers(1, 255))
def test_a_changed_byte_of_the_archive_is_noticed_or_changes_no_file(
    offset: int, change: int
) -> None:
    data = bytearray(write_archive(LIBRARY))
    data[offset % len(data)] ^= change
    try:
        library = read_archive(bytes(data))
    except FormatError:
        return
    assert library == LIBRARY


@pytest.mark.parametrize("name", ["", ".", "tensorflow_lite/a"])
def test_damage_within_a_compressed_member_and_a_name_of_nothing_are_refused(name: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name), bytes(1000), zipfile.ZIP_DEFLATED)
    data = bytearray(stream.getvalue())
    data[30 + len(name)] ^= 0xFF
    with pytest.raises(FormatError):
        read_archive(bytes(data))


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "other/file", "tensorflow_lite/../evil"])
def test_a_path_outside_the_folder_is_refused(name: str) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, "")
    with pytest.raises(FormatError, match="outside the folder"):
        read_archive(stream.getvalue())


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("library.properties", b"name=x\n", "does not say its 'version'"),
        ("library.properties", None, "does not say its 'name'"),
        ("src/TensorFlowLite.h", None, "TensorFlowLite.h is missing"),
        ("examples/hello_world/hello_world.ino", None, "not one example"),
        ("LICENSE", None, "LICENSE is missing"),
        ("src/late.cc", b"", "late.cc is not compiled"),
        ("src/b.cpp", b'#include "tensorflow/lite/nothing.h"\n', "nothing.h, which is not there"),
    ],
)
def test_what_the_ide_could_not_use_is_refused(path: str, data: bytes | None, message: str) -> None:
    library = dict(LIBRARY)
    library.pop(PurePosixPath(path), None)
    if data is not None:
        library[PurePosixPath(path)] = data
    with pytest.raises(FormatError, match=message):
        check_library(library)
