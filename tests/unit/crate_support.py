"""Rust crates that describe registers: fetched once by cargo, checked by digest, read as text."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from toolchain.commands.test import REQUIRE_DOCKER_VARIABLE
from toolchain.console import PlainReporter
from toolchain.errors import ToolchainError
from toolchain.images import project_pins
from toolchain.images.downloads import Downloads
from toolchain.layout import project_layout
from toolchain.pins import CratePin


def crate_files(name: str, *wanted: str) -> dict[str, str]:
    """Return text files of a pinned crate whose path in it matches one of the expressions.

    A crate that cannot be fetched skips the test, unless the tests must not be skipped. The host's
    cargo fetches it, or else one in a container, where the tests run with an engine.
    """
    layout = project_layout()
    pin = project_pins(layout).test.crate(name)
    downloads = Downloads(layout.downloads)
    required = os.environ.get(REQUIRE_DOCKER_VARIABLE) == "1"
    not_run = f"not run: the crate {name} {pin.version} cannot be fetched"
    if not downloads.is_intact(pin.digest):
        try:
            if shutil.which("cargo"):
                _fetch_by_host(pin, downloads)
            elif required or "DOCKER_HOST" in os.environ:
                _fetch_by_image(pin)
            else:
                pytest.skip(f"{not_run}: there is no cargo")
        except (ToolchainError, OSError, subprocess.SubprocessError) as error:
            if required:
                raise
            pytest.skip(f"{not_run}: {error}")
    files = {}
    with tarfile.open(downloads.path(pin.digest)) as crate:
        for member in crate:
            path = member.name.partition("/")[2]
            if any(re.fullmatch(expression, path) for expression in wanted):
                stream = crate.extractfile(member)
                assert stream is not None
                files[path] = stream.read().decode("utf-8")
    assert files, f"{pin.file_name} has none of {wanted}"
    return files


def _fetch_by_host(pin: CratePin, downloads: Downloads) -> None:
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(
            ["cargo", "info", "--quiet", f"{pin.crate}@{pin.version}"],
            env=os.environ | {"CARGO_HOME": home},
            cwd=home,
            check=True,
            capture_output=True,
            timeout=300,
        )
        (found,) = Path(home).glob(f"registry/cache/*/{pin.file_name}")
        downloads.add(found, pin.file_name, frozenset({pin.sha256}))


def _fetch_by_image(pin: CratePin) -> None:
    from toolchain.engine import open_engine
    from toolchain.images.ensure import ensure_image
    from toolchain.images.fetch import Fetcher
    from toolchain.images.site import site_settings

    layout, reporter = project_layout(), PlainReporter()
    pins = project_pins(layout)
    with open_engine(layout, reporter) as engine:
        base = ensure_image(engine, "base", layout=layout, pins=pins, reporter=reporter)
        site = site_settings(os.environ)
        fetcher = Fetcher(engine, base, pins=pins, layout=layout, reporter=reporter, site=site)
        fetcher.crate(pin)


@dataclass(frozen=True)
class DescribedRegister:
    """A register as svd2rust wrote it.

    Attributes:
        reset: value after reset.
        fields: lowest bit and width of each field, by name in capitals.
    """

    offset: int
    reset: int
    readable: bool
    writable: bool
    fields: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def bits(self) -> int:
        """Mask of the bits that belong to a field."""
        bits = 0
        for low, width in self.fields.values():
            bits |= ((1 << width) - 1) << low
        return bits


_ACCESSOR = re.compile(
    r"///0x([0-9a-f]+)(?:\.\.0x([0-9a-f]+))? - [^\n]*\n(?:    ///[^\n]*\n)*"
    r"    #\[inline\(always\)\]\n"
    r"    pub const fn (\w+)\(&self(, n: usize)?\) -> &(\w+)"
)
_FIELD = re.compile(
    r"///Bits? (\d+)(?::(\d+)) ?- [^\n]*\n    #\[inline\(always\)\]\n    pub fn (\w+)\("
    r"|///Bit (\d+) - [^\n]*\n    #\[inline\(always\)\]\n    pub fn (\w+)\("
)
_RESET = re.compile(r"const RESET_VALUE: u32 = (0x[0-9a-f_]+);")


class Description:
    """One chip of a crate that svd2rust wrote.

    Args:
        files: of the chip's folder, by path in it.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._blocks = {
            name: (block, int(base.replace("_", ""), 16))
            for name, block, base in re.findall(
                r"pub type (\w+) = crate::Periph<(\w+)::RegisterBlock, (0x[0-9a-f_]+)>;",
                files["mod.rs"],
            )
        }
        self.interrupts = {
            name: int(number)
            for name, number in re.findall(r"^    (\w+) = (\d+),$", files["mod.rs"], re.MULTILINE)
        }

    def base(self, peripheral: str) -> int:
        """Return the address of a peripheral."""
        return self._blocks[peripheral][1]

    def registers(self, peripheral: str) -> dict[str, DescribedRegister]:
        """Return a peripheral's registers by name in capitals; of clusters as ``ST1.CR``."""
        return self._block(self._blocks[peripheral][0], "", 0)

    def _block(self, path: str, prefix: str, offset: int) -> dict[str, DescribedRegister]:
        found: dict[str, DescribedRegister] = {}
        for begin, end, name, indexed, kind in _ACCESSOR.findall(self._files[f"{path}.rs"]):
            at = offset + int(begin, 16)
            child = self._file_of(path, kind)
            if "RegisterSpec" in self._files[f"{child}.rs"]:
                if not indexed:
                    found[prefix + name.upper()] = self._register(child, at)
            elif indexed:
                (count,) = re.findall(rf"\[{kind}; (\d+)\]", self._files[f"{path}.rs"])
                size = (int(end, 16) - int(begin, 16)) // int(count)
                for index in range(int(count)):
                    found |= self._block(child, f"{kind}{index}.", at + index * size)
        return found

    def _file_of(self, path: str, kind: str) -> str:
        """Return the path of a register's or cluster's file; some share another one's."""
        name = kind.lower()
        text = self._files[f"{path}.rs"]
        if f"{path}/{name}.rs" in self._files:
            return f"{path}/{name}"
        if elsewhere := re.search(rf"pub use crate::\w+::(\w+)::{name};", text):
            return f"{elsewhere[1]}/{name}"
        renamed = re.search(rf"pub use (\w+) as {name};", text)
        assert renamed, f"{path} has no {kind}"
        return f"{path}/{renamed[1]}"

    def _register(self, path: str, offset: int) -> DescribedRegister:
        text = self._files[f"{path}.rs"]
        reset = _RESET.search(text)
        fields: dict[str, tuple[int, int]] = {}
        for low, high, name, bit, single in _FIELD.findall(text):
            if name:
                fields[name.upper()] = (int(low), int(high) - int(low) + 1)
            else:
                fields[single.upper()] = (int(bit), 1)
        return DescribedRegister(
            offset=offset,
            reset=int(reset[1].replace("_", ""), 16) if reset else 0,
            readable="impl crate::Readable" in text,
            writable="impl crate::Writable" in text,
            fields=fields,
        )
