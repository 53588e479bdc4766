"""What ``remote up`` says of a service before it starts it."""

from __future__ import annotations

import pytest

from toolchain.commands.remote import certificate_warning, chosen_listen


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_certificate_that_others_refuse_is_told(host: str) -> None:
    said = certificate_warning(chosen_listen(host, 50051, tokens=False, encrypt=False))
    assert "for localhost, 127.0.0.1 and ::1 only" in said
    assert "--listen" in said


@pytest.mark.parametrize("host", ["192.0.2.10", "build.example", "127.0.0.1"])
def test_nothing_is_said_of_a_certificate_for_the_address_itself(host: str) -> None:
    assert not certificate_warning(chosen_listen(host, 50051, tokens=False, encrypt=True))
