"""What is told of a built firmware's bytes: nothing is left out, and nothing counted twice."""

from __future__ import annotations

from collections import Counter

import pytest

from simulator.symbols import demangled
from tests.conftest import BuiltFirmware, FirmwareFiles
from toolchain.boards import Board
from toolchain.firmware.size import SizeReport
from toolchain.sizes.difference import size_difference
from toolchain.sizes.files import explain_files
from toolchain.sizes.symbols import DetailedSize, detailed_size, short_name


def detailed(board: Board, files: FirmwareFiles) -> DetailedSize:
    return detailed_size(board, files.elf.read_bytes(), files.map.read_text(), demangled)


@pytest.fixture
def size(board: Board, built_firmware: BuiltFirmware) -> DetailedSize:
    return detailed(board, built_firmware.hello_world)


def test_every_byte_of_flash_and_ram_is_told_once(
    size: DetailedSize, built_firmware: BuiltFirmware
) -> None:
    report: SizeReport = size.report
    image = built_firmware.hello_world.bin.stat().st_size
    assert sum(each.flash for each in size.symbols) == report.flash_used == image
    assert sum(each.ram for each in size.symbols) == report.ram_used
    flash: Counter[str] = Counter()
    ram: Counter[str] = Counter()
    for each in size.symbols:
        flash[each.layer] += each.flash
        ram[each.layer] += each.ram
    assert {each.layer: (each.flash, each.ram) for each in report.layers} == {
        layer: (flash[layer], ram[layer]) for layer in {*flash, *ram}
    }
    kernels = [sum(values) for values in zip(*size.kernels.values(), strict=True)]
    assert kernels == [flash["kernels"], ram["kernels"]]


def test_names_and_sources_are_those_of_the_source(size: DetailedSize) -> None:
    by_symbol = {each.symbol: each for each in size.symbols}
    assert by_symbol["g_model"].source == "model/sine_int8/model_data.cc"
    assert by_symbol["g_model"].flash == 2632
    assert by_symbol["g_arena"].ram == 2048
    assert by_symbol["BoardInit()"].source == "boards/sparkfun_edge/board.cc"
    kernel = "tflite::ops::micro::fully_connected::Eval(TfLiteContext*, TfLiteNode*)"
    assert by_symbol[kernel].source.endswith("micro/kernels/fully_connected.cc")
    assert next(iter(size.kernels)) == "fully_connected"
    assert not [each for each in size.symbols if " = " in each.symbol or "0x" in each.symbol]


@pytest.mark.parametrize(
    ("symbol", "short"),
    [
        ("f(int)", "f"),
        ("a::b(c (*)(int))", "a::b"),
        ("(anonymous)::g", "(anonymous)::g"),
        ("(anonymous namespace)::g(int)", "(anonymous namespace)::g"),
        ("f((anonymous namespace)::T)", "f"),
        ("g(int)::(anonymous namespace)::T::f() const", "g::(anonymous namespace)::T::f"),
        ("f<(E)1>(int)", "f<(E)1>"),
        ("f<(a)1, (b>c)>(int)", "f<(a)1, (b>c)>"),
        ("decltype(auto) f<int>(int)", "decltype(auto) f<int>"),
        ("f<int (*)(char)>::g(int) const", "f<int (*)(char)>::g"),
        ("T::operator()(int) const", "T::operator()"),
        ("T::operator<(T const&)", "T::operator<"),
        ("operator<< <int>(T)", "operator<< <int>"),
        ("T::operator->() const", "T::operator->"),
        ("f(int)::table", "f::table"),
        ("f(int) const::{lambda(T)#2}::operator()(T) const", "f::{lambda(T)#2}::operator()"),
        ("guard variable for f(int)::x", "guard variable for f::x"),
        ("f(int) [clone .part.0]", "f"),
        ("(between others)", "(between others)"),
        ("f(int", "f"),
        (".rodata", ".rodata"),
        ("", ""),
    ],
)
def test_a_short_name_has_no_parameters(symbol: str, short: str) -> None:
    assert short_name(symbol) == short


def test_the_files_are_explained_to_the_byte(built_firmware: BuiltFirmware) -> None:
    files = built_firmware.hello_world
    elf = ("hello_world.elf", files.elf.read_bytes())
    told = explain_files(elf, files.map.read_text(), files.bin.stat().st_size, None)
    assert told.library is None
    parts = told.elf
    assert parts.loaded + parts.debug + parts.names + parts.other == files.elf.stat().st_size
    # Gaps between sections are in the image only.
    assert 0 <= told.image_bytes - parts.loaded < 64
    assert parts.debug > 10 * parts.loaded
    assert told.linked_objects > 10


def test_two_firmwares_are_compared_by_symbol(board: Board, built_firmware: BuiltFirmware) -> None:
    first, second = (
        detailed(board, built_firmware.hello_world),
        detailed(board, built_firmware.hello_world_test),
    )
    same = size_difference("itself", first, first)
    assert same.symbols == ()
    assert {(one.flash, one.ram) for one in same.layers} == {
        (one.flash_before, one.ram_before) for one in same.layers
    }
    other = size_difference("hello_world", first, second)
    change = sum(one.flash - one.flash_before for one in other.symbols)
    assert change == second.report.flash_used - first.report.flash_used
    assert other.symbols[0].weight >= other.symbols[-1].weight > 0
