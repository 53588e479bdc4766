from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from invoke.program import Program

import toolchain
from toolchain.cli.collection import collection
from toolchain.cli.option_values import whole_number
from toolchain.errors import UsageError
from toolchain.model_choice import chosen_model, model_name
from toolchain.models import MODELS


@given(st.integers(), st.integers(), st.none() | st.integers())
def test_a_number_within_its_limits_is_returned_and_another_refused(
    number: int, low: int, high: int | None
) -> None:
    if low <= number and (high is None or number <= high):
        assert whole_number("--n", str(number), at_least=low, at_most=high) == number
    else:
        with pytest.raises(UsageError, match="--n cannot be"):
            whole_number("--n", str(number), at_least=low, at_most=high)


@pytest.mark.parametrize(
    "text", ["", "many", "1.5", "0x10", "1e3", "--target", "1_000", " 5", "5\n", "٣", "9" * 5000]
)
def test_what_is_no_whole_number_is_refused_with_the_limits(text: str) -> None:
    with pytest.raises(UsageError, match="whole number, 3 or more"):
        whole_number("--n", text, at_least=3)
    with pytest.raises(UsageError, match="whole number, from 3 to 9"):
        whole_number("--n", text, at_least=3, at_most=9)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("my model-v2.tflite", "net.keras", "data.npy", "data.npz", "sine_int8.tflite"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_model_of_the_project_is_found_by_its_name() -> None:
    assert chosen_model("sine_float") is MODELS["sine_float"]
    with pytest.raises(UsageError, match="no model 'sine'"):
        chosen_model("sine")


def test_a_file_is_a_model_of_ones_own(folder: Path) -> None:
    model = chosen_model("my model-v2.tflite", inputs="data.npz")
    assert (model.name, model.family, model.application) == (
        *("my_model_v2", "my_model_v2", "model_runner"),
    )
    assert model.given is not None
    assert not model.given.is_network
    assert model.given.file == folder / "my model-v2.tflite"
    assert model.given.inputs == folder / "data.npz"
    network = chosen_model(str(folder / "net.keras"), "data.npy")
    assert network.given is not None
    assert network.given.is_network
    assert network.given.representative == folder / "data.npy"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("gone.tflite",), "there is no file gone.tflite"),
        (
            ("~no-such-user/m.tflite",),
            "it is not known whose home ~no-such-user/m.tflite begins with",
        ),
        (("./sine_float",), "--model cannot be './sine_float'"),
        (("data.npy/x.h5",), "--model cannot be"),
        (("sine_int8", "data.npy"), "--representative is for a model of your own"),
        (("sine_int8", "", "data.npy"), "--inputs is for a model of your own"),
        (("my model-v2.tflite", "data.npy"), "--representative is for a .keras file"),
        (("net.keras", "gone.npy"), "--representative: there is no file gone.npy"),
        (("net.keras", "", "net.keras"), "--inputs cannot be 'net.keras'"),
        (("sine_int8.tflite",), "cannot be called as the file sine_int8.tflite is"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_options_that_do_not_fit_are_refused(options: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        chosen_model(*options)
    assert caught.value.next_step


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
def test_a_file_has_a_name_that_make_and_c_can_use_or_none(name: str) -> None:
    with contextlib.suppress(UsageError):
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", model_name(Path(f"{name}.tflite")))


def test_who_names_no_model_learns_that_a_file_may_be_one() -> None:
    for text in ("my_model.h5", "net.TFLITE", ""):
        with pytest.raises(UsageError, match=r"there is no model .*\n.*\.tflite or \.keras"):
            chosen_model(text)


def test_a_misspelt_option_of_the_library_is_no_option() -> None:
    with pytest.raises(TypeError, match="there is no option modle; there are model, build_type"):
        toolchain.build(modle="sine_float")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("images", "--renode", "--push", "r"), "--push and --renode exclude each other"),
        (("images", "--push", "r", "--pull", "r"), "--push and --pull exclude each other"),
        (("pins", "--json"), "--json is for --check"),
        (("pins", "--check", "--update"), "--check and --update exclude each other"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Program(namespace=collection())
    with pytest.raises(SystemExit) as end:
        program.run(["./invoke", *words])
    assert end.value.code == UsageError.exit_code
    assert message in capsys.readouterr().err


def test_no_task_takes_the_letter_that_asks_for_help() -> None:
    for context in collection().to_contexts():
        assert "-h" not in context.flags, context.name
