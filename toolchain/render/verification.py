"""Verified firmwares: how many outputs agree, with what."""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.commands.verify import Verified, VerifiedFirmware
from toolchain.commands.verify_cases import VerifiedCases
from toolchain.render.basics import counted, shown_path, table
from toolchain.verification.cases import Agreement as CaseAgreement
from toolchain.verification.sine import shown_sine_error


def verification_table(verified: Sequence[Verified]) -> str:
    """Return the figures of each firmware that was verified, and where they are written down."""
    sines = [each for each in verified if not isinstance(each, VerifiedCases)]
    given = [each for each in verified if isinstance(each, VerifiedCases)]
    tables = [_sine_table(sines)] if sines else []
    tables += [_case_table(given)] if given else []
    reports = "\n".join(f"report  {shown_path(each.report)}" for each in verified)
    return "\n\n".join([*tables, reports])


def _case_table(verified: Sequence[VerifiedCases]) -> str:
    names = list(dict.fromkeys(name for each in verified for name in each.comparison.opinions))
    rows = []
    for each in verified:
        comparison, size, arena = each.comparison, each.firmware.size, each.firmware.arena
        agreement = comparison.firmware
        rows.append(
            [
                each.firmware.board.name,
                comparison.model,
                f"{agreement.equal}/{agreement.cases}",
                f"{agreement.equal_values:,}/{agreement.values:,}",
                _largest(agreement),
                f"{size.flash_used:,}",
                f"{arena.size_bytes:,}" if arena else "-",
                f"{each.median_instructions:,}",
            ]
        )
    headings = ["target", "model", "cases equal", "values equal", "largest difference"]
    sizes = ["flash", "arena", "instructions of an inference"]
    lines = [table([*headings, *sizes], rows, frozenset({5, 6, 7})), ""]
    judges = ", ".join(sorted({each.comparison.judge for each in verified}))
    lines.append(f"equal  byte for byte, to {judges}, built for this computer")
    for name in names:
        for model in dict.fromkeys(each.comparison.model for each in verified):
            comparison = next(
                each.comparison for each in verified if each.comparison.model == model
            )
            lines.append(f"for information: {_opinion(name, model, comparison.opinions[name])}")
    return "\n".join(lines)


def _largest(agreement: CaseAgreement) -> str:
    if agreement.largest is None:
        return "none"
    return agreement.largest.distance


def _opinion(name: str, model: str, opinion: CaseAgreement | str) -> str:
    if isinstance(opinion, str):
        return f"{name} does not run {model}: {opinion}"
    where = f"; most in {opinion.largest}" if opinion.largest else ""
    return f"{name} agrees in {opinion.equal}/{opinion.cases} cases of {model}{where}"


def _sine_table(verified: Sequence[VerifiedFirmware]) -> str:
    compared = [each.comparison for each in verified]
    rows = []
    for each in verified:
        comparison, image = each.comparison, each.image
        unit = "step" if comparison.kind == "int8" else "ulp"
        from_judge = counted(comparison.largest_difference, unit)
        from_litert = counted(comparison.litert_largest_difference, unit)
        rows.append(
            [
                each.firmware.board.name,
                comparison.model,
                f"{comparison.equal}/{comparison.cases}",
                f"{from_judge} ({comparison.allowed_difference} allowed)",
                shown_sine_error(comparison),
                f"{image.equal}/{image.known}",
                f"{comparison.litert_equal}/{comparison.cases}, at most {from_litert} off",
            ]
        )
    headings = ["target", "model", "equal", "largest difference", "|y - sin x|"]
    text = table([*headings, "image", "LiteRT (for information)"], rows, frozenset({4}))
    judges = ", ".join(sorted({each.comparison.judge for each in verified}))
    units = {
        "int8": "step   one step of the quantised output",
        "float": "ulp    unit in the last place of a single-precision number",
    }
    used = [units[kind] for kind in ("int8", "float") if kind in {row.kind for row in compared}]
    return "\n".join(
        [
            text,
            "",
            f"equal  outputs of hello_world_test that are, bit for bit, those of {judges}",
            "image  outputs of the flashable hello_world that agree with it, over its own inputs",
            *used,
        ]
    )
