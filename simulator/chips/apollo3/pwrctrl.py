"""PWRCTRL: peripherals are switched on one by one, and come up with their power domain."""

from __future__ import annotations

from collections.abc import Callable

from simulator.registers import Peripheral

UART0 = 7
UART1 = 8

_DEVPWREN = 0x08
_DEVPWRSTATUS = 0x18
_ALWAYS_ON = 0x3
_DOMAIN_OF_DEVICE = {
    # IOS, UART0, UART1 and SCARD: HCPA; IOM0 to 2: HCPB; IOM3 to 5: HCPC
    **dict.fromkeys((0, UART0, UART1, 10), 2),
    **dict.fromkeys((1, 2, 3), 3),
    **dict.fromkeys((4, 5, 6), 4),
    9: 5,  # ADC
    11: 6,  # MSPI
    12: 7,  # PDM
    13: 8,  # BLEL
}
_LOOKS_UNTIL_ON = 2
"""How often the status is read until a domain is on: a program that does not poll is noticed."""


class Pwrctrl(Peripheral):
    """Power control at 0x40021000.

    Args:
        on_change: called after each change of what is on.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        super().__init__("PWRCTRL", 0x4002_1000)
        self._on_change = on_change
        self._looks: dict[int, int] = {}
        self.add(_DEVPWREN, "DEVPWREN", bits=0x3FFF, write=self._switch)
        self.add(
            _DEVPWRSTATUS,
            "DEVPWRSTATUS",
            bits=0x3FF,
            reset=_ALWAYS_ON,
            read=self._status,
            writable=False,
        )

    def is_enabled(self, device: int) -> bool:
        """Return whether a device's DEVPWREN bit is set."""
        return bool(self.values[_DEVPWREN] >> device & 1)

    def is_seen_on(self, device: int) -> bool:
        """Return whether the device's domain is on and the program has seen that it is."""
        return (
            self.is_enabled(device)
            and self._looks.get(_DOMAIN_OF_DEVICE[device], 0) >= _LOOKS_UNTIL_ON
        )

    def waiting_for(self, offset: int) -> str:
        """Say which domains are off."""
        if offset != _DEVPWRSTATUS or self.values[_DEVPWREN]:
            return ""
        return (
            "no device is switched on in PWRCTRL.DEVPWREN (0x40021008), so no power domain comes "
            "up; UART0 is bit 7"
        )

    def _switch(self, _old: int, new: int) -> None:
        domains = {domain for device, domain in _DOMAIN_OF_DEVICE.items() if new >> device & 1}
        self._looks = {domain: self._looks.get(domain, 0) for domain in domains}
        self._on_change()

    def _status(self) -> int:
        status = _ALWAYS_ON
        for domain, looks in self._looks.items():
            self._looks[domain] = min(looks + 1, _LOOKS_UNTIL_ON)
            if self._looks[domain] == _LOOKS_UNTIL_ON:
                status |= 1 << domain
        return status
