"""The example models that the pinned crate carries, with inputs of which their class is known."""

from __future__ import annotations

import struct
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NAMES = ("hello_world", "magic_wand", "micro_speech", "person_detection_grayscale")
_FOLDER = "examples/models"


@dataclass(frozen=True)
class Recording:
    """An input of an example model.

    Attributes:
        data: the bytes of the input tensor.
        expected: place of the largest output, as the crate's own tests say (``tests/*.rs``).
    """

    data: bytes
    expected: int


# By the model: the crate's files, and the class of each.
_RECORDINGS = {
    "magic_wand": {
        "ring_micro_f9643d42_nohash_4.data": 1,
        "slope_micro_f2e59fea_nohash_1.data": 2,
    },
    "micro_speech": {
        "yes_micro_f2e59fea_nohash_1.data": 2,
        "no_micro_f9643d42_nohash_4.data": 3,
    },
    "person_detection_grayscale": {
        "person_image_data_grayscale.data": 1,
        "no_person_image_data_grayscale.data": 2,
    },
}
# Stored with the highest byte of each float first.
_BIG_ENDIAN = {"magic_wand"}


def example_models(crate: Path) -> Mapping[str, bytes]:
    """Return the ``.tflite`` files of the crate's archive by name, those of ``NAMES``."""
    files = _files(crate)
    found = {
        Path(name).stem: data for name, data in files.items() if Path(name).suffix == ".tflite"
    }
    assert found.keys() == set(NAMES)
    return found


def example_recordings(crate: Path) -> Mapping[str, tuple[Recording, ...]]:
    """Return what the crate has of inputs to its models, by the model's name."""
    files = _files(crate)
    return {
        model: tuple(
            Recording(_little_endian(files[name]) if model in _BIG_ENDIAN else files[name], kind)
            for name, kind in recordings.items()
        )
        for model, recordings in _RECORDINGS.items()
    }


def _little_endian(floats: bytes) -> bytes:
    count = len(floats) // 4
    return struct.pack(f"<{count}f", *struct.unpack(f">{count}f", floats))


def _files(crate: Path) -> dict[str, bytes]:
    files = {}
    with tarfile.open(crate) as archive:
        for entry in archive:
            _, _, name = entry.name.partition(f"/{_FOLDER}/")
            content = archive.extractfile(entry) if name else None
            if content is not None:
                files[name] = content.read()
    return files
