"""Records and file names of Debian packages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.images.debian import file_stem, parse_package_records
from toolchain.pins import FilePin

# As apt-cache shows them, shortened.
SHOWN = f"""\
Package: make
Source: make-dfsg
Version: 4.9.1-2
Installed-Size: 1875
Maintainer: Somebody <somebody@localhost>
Architecture: amd64
Depends: libc6 (>= 2.38)
Suggests: make-doc
Size: 463104
SHA256: {"7" * 64}
SHA1: {"1" * 40}
Description: utility for directing compilation
 GNU Make controls.
 Version: 9
 .
 Size: 3
Section: devel

Package: make
Version: 4.3-4
Size: 396000
SHA256: {"8" * 64}

Package: virtual
Version: 1

Package: libmpc3
Version: 15:1.9.1-1+b3~x
SHA256: {"9" * 64}
Size: 52244
"""

NAMES = st.from_regex(r"[a-z0-9][a-z0-9+.-]{0,12}", fullmatch=True)
PINS = st.builds(
    FilePin,
    version=st.from_regex(r"([0-9]+:)?[A-Za-z0-9.+~-]{1,8}", fullmatch=True),
    sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
    size=st.integers(1, 10**12),
)


def test_the_newest_record_of_a_package_counts() -> None:
    assert parse_package_records(SHOWN) == {
        "make": FilePin(version="4.9.1-2", sha256="7" * 64, size=463104),
        "libmpc3": FilePin(version="15:1.9.1-1+b3~x", sha256="9" * 64, size=52244),
    }


@settings(max_examples=40)
@given(
    st.dictionaries(NAMES, PINS, max_size=5),
    st.permutations(range(4)),
    st.sampled_from(["", " ", "\t"]),
)
def test_fields_may_stand_in_any_order(
    packages: dict[str, FilePin], order: list[int], between: str
) -> None:
    records = []
    for name, pin in packages.items():
        fields = [
            f"Package: {name}",
            f"Version: {pin.version}",
            f"Size: {pin.size}",
            f"SHA256: {pin.sha256}",
        ]
        records.append("\n".join(fields[position] for position in order) + "\n")
    assert parse_package_records(f"{between}\n".join(records)) == packages


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert parse_package_records(text) == {}


@pytest.mark.parametrize(
    ("field", "value"), [("Size", "x"), ("Size", "0"), ("SHA256", "7"), ("Version", "1_0")]
)
def test_a_record_with_a_senseless_field_is_passed_over(field: str, value: str) -> None:
    lines = [
        f"{field}: {value}" if line.startswith(f"{field}:") else line for line in SHOWN.split("\n")
    ]
    assert parse_package_records("\n".join(lines)) == {}


def test_the_epochs_colon_is_written_as_apt_writes_it() -> None:
    assert file_stem("gcc-arm-none-eabi", "15:9.1.rel1-1") == "gcc-arm-none-eabi_15%3a9.1.rel1-1_"
    assert file_stem("make", "4.9.1-2") == "make_4.9.1-2_"


def test_a_pinned_package_is_not_mistaken_for_one_with_a_longer_version() -> None:
    assert not "make_4.9.1-2+b1_amd64.deb".startswith(file_stem("make", "4.9.1-2"))
