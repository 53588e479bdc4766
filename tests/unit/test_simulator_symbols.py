from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.symbols import Symbols, demangled
from tests.unit.simulator_support import (
    CONSOLE,
    EDGE,
    FUNCTIONS,
    UDF,
    Call,
    Raw,
    Say,
    firmware,
    run_image,
    symbol_file,
)
from toolchain.errors import FirmwareInvalidError, SimulationFaultError

LOAD = EDGE.application.load_address
BROKEN = firmware(Call(FUNCTIONS), functions=[Raw((0xB500, UDF))]).image
IDENTIFIER = st.from_regex(r"[A-Za-z_][A-Za-z_0-9]{0,20}", fullmatch=True).filter(
    lambda name: not name.startswith("_GLOBAL__N")
)


def elf_bytes(path: Path, functions: dict[str, tuple[int, int]], image: bytes = BROKEN) -> bytes:
    return symbol_file(path / "firmware.elf", image, functions).read_bytes()


@pytest.mark.parametrize(
    ("name", "readable"),
    [
        ("main", "main"),
        ("Reset_Handler", "Reset_Handler"),
        ("_Z4loopv", "loop"),
        ("_ZL4loopv", "loop"),
        ("_ZN6tflite16MicroInterpreter6InvokeEv", "tflite::MicroInterpreter::Invoke"),
        ("_ZNK6tflite5Model7versionEv", "tflite::Model::version"),
        ("_ZN12_GLOBAL__N_110RunAt48MHzEv", "(anonymous)::RunAt48MHz"),
        ("_ZN6tfliteL4EvalEP13TfLiteContextP10TfLiteNode", "tflite::Eval"),
        ("_Z5CheckRK9Inferencej", "Check"),
        # What it does not know stays as it is.
        ("_ZN6tflite6VectorIiE4sizeEv", "_ZN6tflite6VectorIiE4sizeEv"),
        ("_ZN6tflite5ModelC2Ev", "_ZN6tflite5ModelC2Ev"),
        ("_ZplRK1AS1_", "_ZplRK1AS1_"),
        ("_Z", "_Z"),
        ("_ZN", "_ZN"),
        ("_ZN3abc", "_ZN3abc"),
        ("_Z99ab", "_Z99ab"),
        ("_ZN99abE", "_ZN99abE"),
        ("_Z0v", "_Z0v"),
        ("", ""),
    ],
)
def test_names_are_demangled_as_far_as_they_are_known(name: str, readable: str) -> None:
    assert demangled(name) == readable


@given(st.lists(IDENTIFIER, min_size=2, max_size=5), st.booleans())
def test_qualified_names_are_read_back(parts: list[str], const: bool) -> None:
    mangled = "_ZN" + "K" * const + "".join(f"{len(part)}{part}" for part in parts) + "Ev"
    assert demangled(mangled) == "::".join(parts)


@given(st.text(max_size=30).map(lambda text: f"_Z{text}") | st.text(max_size=30))
def test_any_name_is_demangled_without_an_error(name: str) -> None:
    assert demangled(name) == name or name.startswith("_Z")


FUNCTION_SETS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=8, unique_by=lambda each: each[0]
)


@given(FUNCTION_SETS, st.integers(0, 80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_an_address_belongs_to_the_last_function_that_holds_it(
    tmp_path: Path, functions: list[tuple[int, int]], halfword: int
) -> None:
    places = {f"f{at}": (LOAD + 2 * at, 2 * size) for at, size in functions}
    address = LOAD + 2 * halfword
    holders = [
        (start, name)
        for name, (start, size) in places.items()
        if start <= address < start + max(size, 2)
    ]
    expected = max(holders)[1] if holders else ""
    symbols = Symbols(elf_bytes(tmp_path, places), BROKEN, LOAD)
    assert symbols.function_at(address) == expected


def test_a_function_is_found_by_the_name_that_the_linker_knows(tmp_path: Path) -> None:
    places = {"_Z4loopv": (FUNCTIONS, 4), "main": (FUNCTIONS + 4, 8)}
    symbols = Symbols(elf_bytes(tmp_path, places), BROKEN, LOAD)
    assert symbols.address_of("_Z4loopv") == FUNCTIONS
    assert symbols.address_of("loop") is None
    assert symbols.location(FUNCTIONS + 2) == f"at 0x{FUNCTIONS + 2:08X} in loop"
    assert symbols.location(LOAD) == f"at 0x{LOAD:08X}"
    assert symbols.frames(FUNCTIONS) == []


def test_without_an_elf_no_address_has_a_name() -> None:
    symbols = Symbols.of_file(None, BROKEN, LOAD)
    assert symbols.function_at(FUNCTIONS) == ""
    assert symbols.address_of("main") is None
    assert symbols.location(FUNCTIONS) == f"at 0x{FUNCTIONS:08X}"


def test_a_fault_names_the_function(tmp_path: Path) -> None:
    elf = symbol_file(tmp_path / "a.elf", BROKEN, {"_ZN5board5StartEv": (FUNCTIONS, 4)})
    with pytest.raises(SimulationFaultError) as caught:
        run_image(BROKEN, elf=elf)
    assert caught.value.what.endswith(f"at 0x{FUNCTIONS + 2:08X} in board::Start")


def test_a_refused_image_names_no_function_but_the_address(tmp_path: Path) -> None:
    image = b"\xff\xff\xff\xff" + BROKEN[4:]
    elf = symbol_file(tmp_path / "a.elf", image, {"main": (FUNCTIONS, 4)})
    with pytest.raises(SimulationFaultError, match=r"at 0x0000C000"):
        run_image(image, elf=elf)


@pytest.mark.parametrize("place", [0, 4, 191, 192, len(BROKEN) - 1])
def test_an_elf_of_another_image_is_refused(tmp_path: Path, place: int) -> None:
    other = bytearray(BROKEN)
    other[place] ^= 0x10
    elf = symbol_file(tmp_path / "a.elf", bytes(other), {"main": (FUNCTIONS, 4)})
    with pytest.raises(FirmwareInvalidError) as caught:
        run_image(BROKEN, elf=elf)
    assert "not the one that the flashable file was made from" in caught.value.what
    assert f"segment at 0x{LOAD:08X}" in caught.value.why


def test_an_elf_of_a_longer_image_is_refused(tmp_path: Path) -> None:
    elf = symbol_file(tmp_path / "a.elf", BROKEN + b"\x00\xbf", {"main": (FUNCTIONS, 4)})
    with pytest.raises(FirmwareInvalidError, match="not the one"):
        run_image(BROKEN, elf=elf)


def test_an_elf_for_another_address_is_refused(tmp_path: Path) -> None:
    elf = symbol_file(tmp_path / "a.elf", BROKEN, {"main": (FUNCTIONS, 4)})
    with pytest.raises(FirmwareInvalidError, match="not the one"):
        Symbols.of_file(elf, BROKEN, LOAD + 0x1000)
    with pytest.raises(FirmwareInvalidError, match="not the one"):
        Symbols.of_file(elf, b"\0" * 0x1000 + BROKEN, LOAD - 0x1000 + 4)


def test_an_elf_that_loads_nothing_is_refused(tmp_path: Path) -> None:
    elf = symbol_file(tmp_path / "a.elf", BROKEN, {"main": (FUNCTIONS, 4)})
    data = bytearray(elf.read_bytes())
    data[44:46] = b"\0\0"  # e_phnum
    elf.write_bytes(bytes(data))
    with pytest.raises(FirmwareInvalidError, match="not the one"):
        run_image(BROKEN, elf=elf)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"text, not ELF\n" * 10, BROKEN])
def test_a_file_that_is_no_elf_is_refused(tmp_path: Path, content: bytes) -> None:
    elf = tmp_path / "a.elf"
    elf.write_bytes(content)
    with pytest.raises(FirmwareInvalidError, match=r"is empty|is not an ELF file"):
        run_image(BROKEN, elf=elf)


def test_an_elf_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.elf", tmp_path):
        with pytest.raises(FirmwareInvalidError, match="cannot be read"):
            run_image(BROKEN, elf=path)


@given(st.data())
@settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_a_damaged_elf_is_refused_or_read_but_never_another_error(
    tmp_path: Path, data: st.DataObject
) -> None:
    good = elf_bytes(tmp_path, {"main": (FUNCTIONS, 4), "_Z4loopv": (FUNCTIONS + 4, 2)})
    damaged = bytearray(good)
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.just(len(good)) | st.integers(1, len(good)))
    try:
        symbols = Symbols(bytes(damaged[:cut]), BROKEN, LOAD)
    except FirmwareInvalidError:
        return
    assert symbols.location(FUNCTIONS).startswith(f"at 0x{FUNCTIONS:08X}")


def test_a_run_is_the_same_with_symbols_and_without(tmp_path: Path) -> None:
    image = firmware(CONSOLE, Say("done\r\n")).image
    elf = symbol_file(tmp_path / "a.elf", image, {"main": (FUNCTIONS, 40)})
    assert run_image(image, elf=elf) == run_image(image)
