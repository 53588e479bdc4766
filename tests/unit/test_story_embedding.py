from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.embedding import data_header, data_source

needs_compiler = pytest.mark.skipif(not shutil.which("c++"), reason="not run: there is no c++")
needs_xxd = pytest.mark.skipif(not shutil.which("xxd"), reason="not run: there is no xxd")

CONTENTS = [bytes(range(256)), b"\x00", b"\xff" * 12, b"\x7f" * 13]


def run(*arguments: str | Path, cwd: Path) -> str:
    return subprocess.run(arguments, cwd=cwd, check=True, capture_output=True, text=True).stdout


def numbers(source: str) -> bytes:
    return bytes(int(number, 16) for number in re.findall(r"0x[0-9a-f]{2}\b", source))


@needs_compiler
@pytest.mark.parametrize("content", CONTENTS)
def test_the_compiled_array_is_the_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model_data.cc").write_text(data_source(content))
    (tmp_path / "model_data.h").write_text(data_header())
    (tmp_path / "main.cc").write_text(
        '#include "model_data.h"\n#include <cstdint>\n#include <cstdio>\n'
        "int main() {\n"
        "  fwrite(g_model, 1, g_model_len, stdout);\n"
        "  return reinterpret_cast<std::uintptr_t>(g_model) % 16;\n}\n"
    )
    run(
        "c++", "-std=c++11", "-Wall", "-Werror", "-o", "m", "main.cc", "model_data.cc", cwd=tmp_path
    )
    done = subprocess.run([tmp_path / "m"], capture_output=True, check=False)
    assert done.stdout == content
    assert done.returncode == 0


@needs_xxd
@pytest.mark.parametrize("content", CONTENTS)
def test_the_lines_are_those_of_xxd(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g_model").write_bytes(content)
    theirs = run("xxd", "-i", "g_model", cwd=tmp_path)
    ours = data_source(content)
    array = theirs[theirs.index("{\n") + 2 : theirs.index("\n};")]
    assert f"[] = {{\n{array}}};\n" in ours
    assert "unsigned char g_model[] = {" in theirs
    assert "unsigned char g_model[] = {" in ours
    assert f"g_model_len = {len(content)};" in theirs
    assert f"g_model_len = {len(content)};" in ours


@given(st.binary(min_size=1, max_size=400))
def test_the_numbers_in_the_source_are_the_bytes(content: bytes) -> None:
    array = data_source(content).partition("{")[2]
    assert numbers(array) == content
