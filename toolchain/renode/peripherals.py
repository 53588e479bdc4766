"""What Renode 1.16.1 offers of what the boards' files use: types, their parameters and their sizes.

Read in the sources of renode/renode and renode/renode-infrastructure; the constructor's parameters
of a class are the lower-case attributes of an entry, its properties the others. ``IMachine`` is
given by Renode itself and cannot be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class PeripheralType:
    """A class of peripherals.

    Attributes:
        attributes: type of the value of each attribute that it may have: ``int``, ``str``,
            ``bool``, or another type's name for a reference to an entry of that type.
        required: attributes without which it cannot be made.
        place: how it is registered: at an ``address``, in a ``range`` (its size is given with the
            address), or with ``none``, being no part of the memory map.
        size: bytes that it takes; None: the attribute ``size``, or the range, says it.
        page: its size must be a multiple of this.
        outputs: number of interrupt outputs.
        inputs: the numbers of its interrupt inputs end before this; 0: it has none.
        source: the file of the class, below src/Emulator of renode-infrastructure.
    """

    attributes: Mapping[str, type | str]
    required: frozenset[str]
    place: str
    size: int | None
    source: str
    page: int = 1
    outputs: int = 0
    inputs: int = 0


def _type(
    source: str,
    *,
    place: str = "address",
    size: int | None = None,
    required: str = "",
    page: int = 1,
    outputs: int = 0,
    inputs: int = 0,
    attributes: Mapping[str, type | str] = MappingProxyType({}),
) -> PeripheralType:
    return PeripheralType(
        attributes=attributes,
        required=frozenset(required.split()),
        place=place,
        size=size,
        source=source,
        page=page,
        outputs=outputs,
        inputs=inputs,
    )


TYPES: Mapping[str, PeripheralType] = MappingProxyType(
    {
        "CPU.CortexM": _type(
            "Cores/Arm-M/CortexM.cs",
            place="none",
            required="cpuType nvic",
            inputs=1,
            attributes={"cpuType": str, "nvic": "IRQControllers.NVIC", "PerformanceInMips": int},
        ),
        "IRQControllers.NVIC": _type(
            "Peripherals/Peripherals/IRQControllers/NVIC.cs",
            size=0x1000,
            outputs=1,
            inputs=240,
            attributes={"systickFrequency": int, "priorityMask": int},
        ),
        # Whole pages of the translator only ("has to be aligned to guest page size").
        "Memory.MappedMemory": _type(
            "Main/Peripherals/Memory/MappedMemory.cs",
            required="size",
            page=0x400,
            attributes={"size": int},
        ),
        "Memory.ArrayMemory": _type(
            "Main/Peripherals/Memory/ArrayMemory.cs", required="size", attributes={"size": int}
        ),
        "Python.PythonPeripheral": _type(
            "Main/Peripherals/Python/PythonPeripheral.cs",
            required="size script",
            attributes={"size": int, "initable": bool, "script": str},
        ),
        "Miscellaneous.LED": _type(
            "Peripherals/Peripherals/Miscellaneous/LED.cs",
            place="none",
            inputs=1,
            attributes={"invert": bool},
        ),
        "UART.PL011": _type("Peripherals/Peripherals/UART/PL011.cs", size=0x1000, outputs=1),
        "UART.NRF52840_UART": _type(
            "Peripherals/Peripherals/UART/NRF52840_UART.cs",
            size=0x1000,
            outputs=1,
            attributes={"easyDMA": bool},
        ),
        "UART.STM32F7_USART": _type(
            "Peripherals/Peripherals/UART/STM32F7_USART.cs",
            size=0x400,
            outputs=1,
            required="frequency",
            attributes={"frequency": int},
        ),
        "GPIOPort.NRF52840_GPIO": _type(
            "Peripherals/Peripherals/GPIOPort/NRF52840_GPIO.cs", size=0x300
        ),
        "GPIOPort.STM32_GPIOPort": _type(
            "Peripherals/Peripherals/GPIOPort/STM32_GPIOPort.cs",
            place="range",
            attributes={
                "modeResetValue": int,
                "outputSpeedResetValue": int,
                "pullUpPullDownResetValue": int,
            },
        ),
    }
)

CPU_TYPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"cortex-m4": ("cortex-m4", "cortex-m4f"), "cortex-m7": ("cortex-m7",)}
)
"""Renode's names for the core of each name of ``board.toml``, those with an FPU."""
