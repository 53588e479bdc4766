"""Verification in the simulator, with tiny firmwares that say what a test wants them to say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.unit.commands_support import (
    EDGE,
    FLOAT,
    FLOAT_PAIRS,
    INT8,
    INT8_PAIRS,
    application,
    copy_project,
    firmware_contents,
    float_line,
    hello_world,
    hello_world_test,
    know,
    reference_json,
    session_in,
    steps_of,
    x_value_line,
)
from toolchain.commands.verify import VerifiedFirmware, verify
from toolchain.digest import Digest
from toolchain.errors import SimulationFaultError, VerificationError
from toolchain.models import Model
from toolchain.reference.documents import document_schema
from toolchain.render.verification import verification_table
from toolchain.session import Session

NAN = 0x7FC0_0000
ONE_WRONG = {raw: out + (raw == 7) for raw, out in INT8_PAIRS.items()}


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("DOCKER_HOST", "tcp://another.machine.invalid:1")
    monkeypatch.setattr("toolchain.commands.verify.IMAGE_INFERENCES", 40)
    with session_in(copy_project(tmp_path)) as session:
        yield session


def verified(
    session: Session,
    *,
    image: bytes | None = None,
    test: bytes | None = None,
    model: Model = INT8,
    reference: bytes | None = None,
) -> VerifiedFirmware:
    contents = {
        **firmware_contents(image or hello_world(), "hello_world", model),
        **firmware_contents(test or hello_world_test(), "hello_world_test", model),
        (f"reference {model.name}", "reference.json"): reference or reference_json(model),
    }
    know(session, steps_of(session, [model], tests=True), contents)
    (found,) = verify(session, [EDGE], [model], "release")
    assert isinstance(found, VerifiedFirmware)
    return found


def report_of(session: Session, model: Model = INT8) -> Path:
    return session.layout.build / "sparkfun_edge" / model.name / "verify.json"


def test_a_firmware_that_computes_the_model_passes_and_is_written_down(session: Session) -> None:
    found = verified(session)
    assert found.passed
    assert (found.comparison.cases, found.comparison.equal) == (256, 256)
    assert found.image.inferences == found.image.known == found.image.equal == 40
    report = json.loads(report_of(session).read_text())
    assert report == json.loads(json.dumps(found.as_json()))
    assert (report["schema"], report["passed"]) == ("tinyml-toolchain/verify/1", True)
    assert report["image_sha256"] == Digest.of_bytes(hello_world()).sha256
    assert report["test_sha256"] == Digest.of_bytes(hello_world_test()).sha256


def test_a_float_model_is_compared_by_its_bits(session: Session) -> None:
    lines = [float_line(x, y) for x, y in FLOAT_PAIRS.items()]
    test = [f"test: x=0x{x:08x} y=0x{y:08x}\r\n" for x, y in FLOAT_PAIRS.items()]
    found = verified(
        session,
        image=application(lines, times=20),
        test=application([*test, "~~~ALL TESTS PASSED~~~\r\n"]),
        model=FLOAT,
    )
    assert found.passed
    assert (found.comparison.kind, found.comparison.equal) == ("float", len(FLOAT_PAIRS))
    table = verification_table([found])
    assert "0 ulps (1 allowed)" in table
    assert "unit in the last place" in table
    assert "quantised" not in table


def test_a_float_that_is_not_finite_is_refused_and_null_in_the_report(session: Session) -> None:
    pairs = {x: NAN if number == 7 else y for number, (x, y) in enumerate(FLOAT_PAIRS.items())}
    test = [f"test: x=0x{x:08x} y=0x{y:08x}\r\n" for x, y in pairs.items()]
    with pytest.raises(VerificationError, match="against the sine is not finite"):
        verified(
            session,
            image=application([float_line(x, y) for x, y in pairs.items()], times=20),
            test=application([*test, "~~~ALL TESTS PASSED~~~\r\n"]),
            model=FLOAT,
            reference=reference_json(FLOAT, pairs),
        )
    text = report_of(session, FLOAT).read_text()
    assert "NaN" not in text
    report = json.loads(text)
    assert (report["passed"], report["test"]["largest_sine_error"]) == (False, None)
    document = {"schema": "tinyml-toolchain/verifications/1", "verifications": [report]}
    Draft202012Validator(dict(document_schema("verifications"))).validate(document)


def test_one_wrong_output_is_refused_after_it_was_written_down(session: Session) -> None:
    with pytest.raises(VerificationError, match=r"255/256 outputs equal a judge 1\.0, the"):
        verified(session, test=hello_world_test(ONE_WRONG))
    report = json.loads(report_of(session).read_text())
    assert (report["passed"], report["test"]["equal"]) == (False, 255)
    assert report["test"]["largest_difference"] == 1


def test_an_image_that_computes_otherwise_than_the_test_is_refused(session: Session) -> None:
    wrong = {raw: out - 1 for raw, out in INT8_PAIRS.items()}
    with pytest.raises(VerificationError, match="0 of 40 outputs of the flashable image"):
        verified(session, image=hello_world(wrong))
    assert not json.loads(report_of(session).read_text())["passed"]


def test_an_image_that_quantises_wrongly_is_refused(session: Session) -> None:
    lines = [
        x_value_line(raw_in, raw_out).replace(f"in={raw_in} ", f"in={raw_in + 3} ")
        for raw_in, raw_out in ((-128, INT8_PAIRS[-125]), (0, INT8_PAIRS[3]))
    ]
    with pytest.raises(VerificationError, match="only 0 of 40 inferences"):
        verified(session, image=application(lines, times=500))


def test_a_test_firmware_that_fails_its_own_check_is_refused(session: Session) -> None:
    test = hello_world_test(last="~~~SOME TESTS FAILED~~~")
    with pytest.raises(VerificationError, match="says that it failed on SparkFun Edge"):
        verified(session, test=test)


def test_an_older_report_is_gone_when_verification_cannot_be_finished(session: Session) -> None:
    verified(session)
    assert json.loads(report_of(session).read_text())["passed"]
    half = {raw: out for raw, out in INT8_PAIRS.items() if raw < 0}
    with pytest.raises(VerificationError, match="128 are missing"):
        verified(session, test=hello_world_test(half))
    assert not report_of(session).exists()


def test_a_test_firmware_that_halts_without_a_verdict_is_refused(session: Session) -> None:
    with pytest.raises(SimulationFaultError, match="the console said last: nothing"):
        verified(session, test=application(["nothing\r\n"]))
    assert not report_of(session).exists()


def test_a_reference_of_another_schema_is_refused(session: Session) -> None:
    other = reference_json().replace(b"reference/1", b"reference/9")
    with pytest.raises(VerificationError, match="cannot be used as reference"):
        verified(session, reference=other)


def test_the_table_has_a_row_for_each_model_and_explains_its_words(session: Session) -> None:
    table = verification_table([verified(session)])
    (row,) = [line for line in table.splitlines() if line.startswith("sparkfun_edge")]
    assert "256/256" in row
    assert "0 steps (0 allowed)" in row
    assert "40/40" in row
    assert "a judge 1.0" in table
    assert str(report_of(session)) in table
