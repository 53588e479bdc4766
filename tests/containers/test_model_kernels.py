"""The table of kernels, the sizes and the generated sources against the pinned tree itself."""

from __future__ import annotations

import dataclasses
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from model import arena
from model.embedding import EmbeddableModel, data_header, data_source, embedded_files
from model.graph import Operator, read_graph
from model.kernels import KERNELS
from model.options import OPTIONS
from tests.conftest import BuiltFirmware
from tests.containers.model_bench import Files, ModelBench, P
from tests.unit.model_support import float_dense
from toolchain.actions import Step
from toolchain.boards import Board
from toolchain.errors import StepFailedError

FOLDER = "tensorflow/lite/micro/kernels"
SCHEMA = "tensorflow/lite/schema/schema_generated.h"
PARSER = "tensorflow/lite/core/api/flatbuffer_conversions.cc"

NOT_IN_THE_TABLE = {
    "CIRCULAR_BUFFER": "a custom operator: no converter writes it, and the schema has no code of it"
}
NAMES_NO_TYPE = {
    "RESHAPE": "copies bytes",
    "LOGICAL_OR": "is a template of bool",
    "LOGICAL_AND": "is a template of bool",
}
READS_NONE_OF_ITS_OPTIONS = {"SPLIT": "takes the number of parts from its outputs"}
REGISTERED_FOR_LESS = {
    "ARG_MAX": "int8 is version 2",
    "ARG_MIN": "int8 is version 2",
    "L2_NORMALIZATION": "int8 is version 2",
    "MAXIMUM": "int8 is version 2",
    "MINIMUM": "int8 is version 2",
    "RELU": "int8 is version 2",
    "RELU6": "int8 is version 2",
    "STRIDED_SLICE": "int8 is version 2",
    "TANH": "int8 is version 2",
    "DEQUANTIZE": "int16 is version 3",
    "RESIZE_NEAREST_NEIGHBOR": "aligned corners are version 3",
    "SPLIT": "int16 is version 4",
}

_FLAGS = (
    *("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-Os"),
    *("-fno-rtti", "-fno-exceptions", "-Wall", "-Wextra", "-Werror", "-DTF_LITE_STATIC_MEMORY"),
)
_DOWNLOADS = "tensorflow/lite/micro/tools/make/downloads"
_TREE = ("-isystem", ".", "-isystem", f"{_DOWNLOADS}/flatbuffers/include")


@dataclass(frozen=True)
class Tree:
    """Sources of the pinned tree by their path in it."""

    sources: Mapping[str, str]

    def kernel(self, name: str) -> str:
        return self.sources[f"{FOLDER}/{KERNELS[name].source}"]


@pytest.fixture
def tree(bench: ModelBench, cross_image: str) -> Tree:
    files = f"{FOLDER}/*.cc {FOLDER}/*.h {SCHEMA} {PARSER}"
    script = f"cd /opt/tflm; tar -cf /out/tree.tar --sort=name {files}"
    step = in_tree(cross_image, script, {}, ["tree.tar"])
    (made,) = bench.known(step).values()
    sources = {}
    with tarfile.open(fileobj=io.BytesIO(made["tree.tar"])) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None
            sources[member.name] = content.read().decode()
    return Tree(sources)


def in_tree(image: str, script: str, inputs: Mapping[str, bytes], outputs: list[str]) -> Step:
    return Step(
        name="in the pinned tree",
        image=image,
        arguments=("sh", "-euc", script),
        inputs={P(name): data for name, data in inputs.items()},
        outputs=tuple(P(name) for name in outputs),
        working_directory="/opt/tflm",
    )


def test_every_kernel_stands_in_its_file(tree: Tree) -> None:
    for name in KERNELS:
        defined = rf"^TfLiteRegistration\* Register_{name}\(\) \{{"
        assert re.search(defined, tree.kernel(name), re.MULTILINE), name


def test_every_kernel_of_the_tree_is_in_the_table_or_left_out_for_a_reason(tree: Tree) -> None:
    header = tree.sources[f"{FOLDER}/micro_ops.h"]
    registered = set(re.findall(r"Register_(\w+)\(\)", header))
    assert len(registered) > 50
    assert registered == set(KERNELS) | set(NOT_IN_THE_TABLE)


def test_every_code_is_that_of_the_schema(tree: Tree) -> None:
    codes = dict(re.findall(r"BuiltinOperator_(\w+) = (\d+)[,\n]", tree.sources[SCHEMA]))
    assert not set(NOT_IN_THE_TABLE) & set(codes)
    for name, kernel in KERNELS.items():
        assert int(codes[name]) == kernel.code, name


CONSTANTS = {"FLOAT32": "Float32", "UINT8": "UInt8", "INT8": "Int8", "INT16": "Int16"}
CONSTANTS |= {"INT32": "Int32", "INT64": "Int64", "BOOL": "Bool"}


def test_every_type_of_a_form_is_named_by_its_kernel(tree: Tree) -> None:
    for name, kernel in KERNELS.items():
        if name in NAMES_NO_TYPE:
            continue
        # The second input of SPLIT is what is split.
        moved = {form.operands[1 if name == "SPLIT" else 0] for form in kernel.forms}
        named = set(re.findall(r"\bkTfLite(\w+)", tree.kernel(name)))
        assert {CONSTANTS[each] for each in moved} <= named, name


def test_versions_are_at_least_those_that_the_tree_registers(tree: Tree) -> None:
    resolver = re.sub(r"/\*.*?\*/", "", tree.sources[f"{FOLDER}/all_ops_resolver.cc"])
    calls = re.findall(r"AddBuiltin\(BuiltinOperator_(\w+),\s*Register_\w+\(\)([^;]*)\);", resolver)
    registered = {
        name: max((int(each) for each in re.findall(r"\d+", versions)), default=1)
        for name, versions in calls
    }
    assert set(registered) == set(KERNELS)
    more = set()
    for name, kernel in KERNELS.items():
        highest = max(form.version for form in kernel.forms)
        assert highest >= registered[name], name
        if highest > registered[name]:
            more.add(name)
    assert more == set(REGISTERED_FOR_LESS)


def test_the_sizes_of_the_estimate_are_those_of_the_compiler(
    bench: ModelBench, cross_image: str
) -> None:
    sizes = {
        "TfLiteTensor": arena.TENSOR_BYTES,
        "tflite::NodeAndRegistration": arena.NODE_BYTES,
        "TfLiteAffineQuantization": arena.AFFINE_BYTES,
    }
    source = '#include "tensorflow/lite/c/builtin_op_data.h"\n'
    source += '#include "tensorflow/lite/micro/micro_allocator.h"\n'
    source += '#include "tensorflow/lite/micro/memory_planner/greedy_memory_planner.h"\n'
    source += "".join(f"static_assert(sizeof({name}) == {n});\n" for name, n in sizes.items())
    options = ("Conv", "DepthwiseConv", "Pool", "Reshape", "StridedSlice", "SVDF", "Softmax")
    source += "".join(
        f"static_assert(sizeof(TfLite{each}Params) <= {arena.OPTIONS_BYTES});\n" for each in options
    )
    # The planner's BufferRequirements, which is private, has three numbers.
    entry = "sizeof(tflite::GreedyMemoryPlanner::ListEntry)"
    source += f"static_assert({entry} + (3 + 3) * sizeof(int) == {arena.PLANNED_BYTES});\n"
    flags = " ".join((*_FLAGS, *_TREE, "-std=c++17", "-w"))
    script = f"arm-none-eabi-g++ {flags} -c /project/sizes.cc -o /out/sizes.o"
    bench.known(in_tree(cross_image, script, {"sizes.cc": source.encode()}, ["sizes.o"]))
    wrong = source.replace(f"== {arena.TENSOR_BYTES})", f"== {arena.TENSOR_BYTES - 4})")
    with pytest.raises(StepFailedError, match="static assertion failed"):
        bench.known(in_tree(cross_image, script, {"sizes.cc": wrong.encode()}, ["sizes.o"]))


FORMS = {"int8_t": "b", "uint8_t": "B", "int32_t": "i", "float": "f"}
NEWER = {("STRIDED_SLICE", "offset"): "a later field, which the pinned tree does not know"}


def test_the_options_are_those_of_the_schema(tree: Tree) -> None:
    schema = tree.sources[SCHEMA]
    kinds = dict(re.findall(r"BuiltinOptions_(\w+) = (\d+)[,\n]", schema))
    names = {int(number): name for name, number in kinds.items()}
    for operator, table in OPTIONS.items():
        start = schema.index(f"struct {names[table.kind]} FLATBUFFERS_FINAL_CLASS")
        body = schema[start : schema.index("\n};", start)]
        for name, (number, form, default) in table.fields.items():
            if (operator, name) in NEWER:
                assert name.upper() not in body
                continue
            field = f"VT_{name.upper()}"
            assert f"{field} = {4 + 2 * number}" in body, (operator, name)
            if form.startswith("["):
                assert f"Vector<{form[1].replace('i', 'int32_t')}> *>({field})" in body
                continue
            read = re.search(rf"GetField<(\w+)>\({field}, ([\d.]+)f?\)", body)
            assert read, (operator, name)
            assert (FORMS[read[1]], float(read[2])) == (form, default), (operator, name)


def test_an_operators_options_are_those_that_the_parser_reads(tree: Tree) -> None:
    schema = tree.sources[SCHEMA]
    names = dict(re.findall(r"BuiltinOptions_(\w+) = (\d+)[,\n]", schema))
    cases = re.split(r"(?=\n    case BuiltinOperator_)", tree.sources[PARSER])
    labels: list[str] = []
    parsed: dict[str, int | None] = {}
    for case in cases[1:]:
        labels += re.findall(r"case BuiltinOperator_(\w+):", case)
        read = re.search(r"builtin_options_as_(\w+)\(\)", case)
        if "return kTfLiteOk;" in case:
            parsed |= dict.fromkeys(labels, int(names[read[1]]) if read else None)
            labels = []
    for name in KERNELS:
        known = OPTIONS.get(name)
        assert known is None or parsed[name] == known.kind or not known.needed, name
        if known is None and name not in READS_NONE_OF_ITS_OPTIONS:
            assert parsed[name] is None, name


@dataclass(frozen=True)
class Symbol:
    """What stands at a symbol, to the end of the symbol."""

    data: bytes
    address: int
    section: str
    alignment: int


def symbols(file: ELFFile) -> SymbolTableSection:
    table = file.get_section_by_name(".symtab")
    assert isinstance(table, SymbolTableSection)
    return table


def symbol(elf: bytes, name: str) -> Symbol:
    file = ELFFile(io.BytesIO(elf))
    found = next(each for each in symbols(file).iter_symbols() if each.name == name)
    section = file.get_section(found["st_shndx"])
    start = found["st_value"] - section["sh_addr"]
    return Symbol(
        section.data()[start : start + found["st_size"]],
        found["st_value"],
        section.name,
        section["sh_addralign"],
    )


def test_the_registration_of_all_operators_compiles(bench: ModelBench, cross_image: str) -> None:
    graph = read_graph(float_dense().tflite())
    operators = tuple(
        Operator(name, version, (0, 0, 0), (3,), None)
        for name, kernel in KERNELS.items()
        for version in {form.version for form in kernel.forms}
    )
    graph = dataclasses.replace(graph, operators=operators)
    model = EmbeddableModel("all", float_dense().tflite(), graph, None, 1024)
    sources = {name: text.encode() for name, text in embedded_files(model).items()}
    flags = " ".join((*_FLAGS, *_TREE, "-std=c++17", "-I/project"))
    script = f"arm-none-eabi-g++ {flags} -c /project/model_operators.cc -o /out/operators.o"
    step = in_tree(cross_image, script, sources, ["operators.o"])
    (files,) = bench.known(step).values()
    file = ELFFile(io.BytesIO(files["operators.o"]))
    wanted = {each.name for each in symbols(file).iter_symbols()}
    for name in KERNELS:
        assert any(each.endswith(f"Register_{name}Ev") for each in wanted), name


@pytest.mark.parametrize("options", ["-std=c++11", "-std=c++17 -fdata-sections"])
def test_the_compiled_data_is_the_very_file_in_constant_aligned_memory(
    bench: ModelBench, cross_image: str, options: str
) -> None:
    tflite = bench.sine()["sine_int8.tflite"]
    # Of a length that is no multiple of anything.
    for data in (tflite, tflite + bytes(-len(tflite) % 16 + 7)):
        sources = data_sources(data)
        script = (
            f"arm-none-eabi-g++ {' '.join(_FLAGS)} {options} -c /project/model_data.cc -o /out/o;"
            " section=$(arm-none-eabi-objdump -t /out/o | grep -o '\\.rodata[^ ]*.*g_model$');"
            " arm-none-eabi-objcopy -O binary --only-section=${section%%[!a-z._]*} /out/o /out/bin"
        )
        step = in_tree(cross_image, script, sources, ["o", "bin"])
        (files,) = bench.known(step).values()
        model, length = symbol(files["o"], "g_model"), symbol(files["o"], "g_model_len")
        assert model.data == data
        assert files["bin"][model.address :][: len(data)] == data
        assert model.section.startswith(".rodata")
        assert length.section.startswith(".rodata")
        assert model.address % 16 == 0
        assert model.alignment % 16 == 0
        assert int.from_bytes(length.data, "little") == len(data)


def data_sources(data: bytes) -> Files:
    return {
        "model_data.cc": data_source(data).encode(),
        "model_data.h": data_header().encode(),
    }


def test_the_flashed_image_holds_the_model_as_it_was_converted(
    bench: ModelBench, built_firmware: BuiltFirmware, board: Board
) -> None:
    tflite = bench.sine()["sine_int8.tflite"]
    for files in (built_firmware.hello_world, built_firmware.hello_world_test):
        model = symbol(files.elf.read_bytes(), "g_model")
        offset = model.address - board.application.load_address
        assert model.address % 16 == 0
        assert model.data == tflite
        assert files.bin.read_bytes()[offset : offset + len(tflite)] == tflite
