from __future__ import annotations

import pytest

from tests.unit.simulator_support import (
    CACHE,
    CACHECFG,
    CCTRL,
    CLKKEY,
    CLOCK,
    CONSOLE,
    DEVPWREN,
    DEVPWRSTATUS,
    FPU,
    Blamed,
    Peek,
    Poke,
    Say,
    WaitSet,
    expect,
    refused,
    run,
)

DONE = Say("done\r\n")
CACHE_CTRL = CACHECFG + 8


@pytest.mark.parametrize("key", [0, 0x46, 0x73, 0x147, 0xFFFF_FFFF])
def test_the_clock_is_locked_without_its_key(key: int) -> None:
    message = refused(Poke(CLKKEY, key), Blamed(Poke(CCTRL, 0)))
    assert "CLKGEN.CCTRL was written while it is locked" in message
    assert f"CLKKEY holds 0x{key:X}" in message
    assert "write 0x47 to CLKGEN.CLKKEY" in message


def test_the_clock_is_locked_after_reset_and_after_locking_it_again() -> None:
    assert "locked" in refused(Blamed(Poke(CCTRL, 0)))
    assert "locked" in refused(CLOCK, Blamed(Poke(CCTRL, 1)))


def test_the_key_register_tells_whether_it_is_unlocked() -> None:
    unlocked = (Poke(CLKKEY, 0x47), Peek(CLKKEY), *expect(1))
    locked = (Poke(CLKKEY, 0x73), Peek(CLKKEY), *expect(0))
    assert run(unlocked, locked, CONSOLE, DONE).console == "done\n"


def test_a_good_cache_set_up_is_taken() -> None:
    assert run(CLOCK, CACHE, WaitSet(CACHE_CTRL, 2), CONSOLE, DONE).console == "done\n"


def test_a_cache_that_is_off_is_never_ready() -> None:
    message = refused(FPU, Poke(CACHECFG, 0x0010_0780), Blamed(WaitSet(CACHE_CTRL, 2)))
    assert "waits for ever on CACHECTRL.CTRL" in message


@pytest.mark.parametrize("configuration", [0x0010_0751, 0x0010_0681, 0x0000_0781, 0x0010_0783])
def test_a_cache_change_while_it_is_on_is_refused(configuration: int) -> None:
    message = refused(CACHE, Blamed(Poke(CACHECFG, configuration)))
    assert "changed while the cache is on" in message
    assert f"from 0x00100781 to 0x{configuration:08X}" in message


def test_a_cache_change_in_the_write_that_switches_it_on_is_refused() -> None:
    message = refused(Blamed(Poke(CACHECFG, 0x0010_0781)))
    assert "changed in the write that switches it on" in message


def test_a_cache_change_in_the_write_that_switches_it_off_is_refused() -> None:
    assert "while the cache is on" in refused(CACHE, Blamed(Poke(CACHECFG, 0x0010_0750)))


def test_the_cache_is_changed_after_switching_it_off() -> None:
    again = (Poke(CACHECFG, 0x0010_0780), Poke(CACHECFG, 0x0010_0750), Poke(CACHECFG, 0x0010_0751))
    assert run(CACHE, again, CONSOLE, DONE).console == "done\n"


@pytest.mark.parametrize("code", [0, 1, 6, 7, 9, 15])
def test_a_cache_shape_that_the_part_does_not_have_is_refused(code: int) -> None:
    off = 0x0010_0700 | code << 4
    message = refused(Poke(CACHECFG, off), Blamed(Poke(CACHECFG, off | 1)))
    assert f"the cache was switched on with CONFIG {code}" in message


@pytest.mark.parametrize(
    ("device", "domain"),
    [
        (0, 2),
        (1, 3),
        (3, 3),
        (4, 4),
        (6, 4),
        (7, 2),
        (8, 2),
        (9, 5),
        (10, 2),
        (11, 6),
        (12, 7),
        (13, 8),
    ],
)
def test_a_device_brings_up_its_power_domain_alone(device: int, domain: int) -> None:
    up = (Poke(DEVPWREN, 1 << device), WaitSet(DEVPWRSTATUS, domain))
    alone = (Peek(DEVPWRSTATUS), *expect(0b11 | 1 << domain))
    down = (Poke(DEVPWREN, 0), Peek(DEVPWRSTATUS), *expect(0b11))
    assert run(up, alone, down, CONSOLE, DONE).console == "done\n"


def test_waiting_for_power_that_was_never_asked_for_names_the_register_to_set() -> None:
    message = refused(FPU, Blamed(WaitSet(DEVPWRSTATUS, 2)))
    assert "waits for ever on PWRCTRL.DEVPWRSTATUS" in message
    assert "no device is switched on in PWRCTRL.DEVPWREN (0x40021008)" in message


def test_waiting_for_the_wrong_power_domain_is_refused() -> None:
    message = refused(FPU, Poke(DEVPWREN, 1 << 7), Blamed(WaitSet(DEVPWRSTATUS, 3)))
    assert "waits for ever on PWRCTRL.DEVPWRSTATUS" in message


def test_the_power_status_cannot_be_written() -> None:
    assert "PWRCTRL.DEVPWRSTATUS at 0x40021018, which is read-only" in refused(
        Blamed(Poke(DEVPWRSTATUS, 7))
    )
