"""What is pinned: versions, digests, and locks."""

from toolchain.pins.locks import (
    HOST_LOCK,
    NOTEBOOK_LOCK,
    REMOTE_LOCK,
    SERVICE_LOCK,
    TEST_LOCK,
    TRAIN_LOCK,
    LockedRequirement,
    check_locks,
    normalised,
    parse_lock,
    read_lock,
)
from toolchain.pins.tables import (
    PINS_FILE,
    CratePin,
    DebianPins,
    FilePin,
    Pins,
    PythonImagePins,
    TflmPins,
    load_pins,
)

__all__ = [
    "HOST_LOCK",
    "NOTEBOOK_LOCK",
    "PINS_FILE",
    "REMOTE_LOCK",
    "SERVICE_LOCK",
    "TEST_LOCK",
    "TRAIN_LOCK",
    "CratePin",
    "DebianPins",
    "FilePin",
    "LockedRequirement",
    "Pins",
    "PythonImagePins",
    "TflmPins",
    "check_locks",
    "load_pins",
    "normalised",
    "parse_lock",
    "read_lock",
]
