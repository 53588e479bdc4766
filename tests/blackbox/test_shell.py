"""A shell in the cross image."""

from __future__ import annotations

import shutil

import pytest

from tests.blackbox.support import TARGET, Checkout


def test_a_shell_command_runs_in_the_cross_image_without_network_and_power(built: Checkout) -> None:
    if shutil.which("docker") is None:
        pytest.skip("not run: the docker command line client is not installed")
    command = "ls /project && id -u && cat /proc/net/dev && grep CapEff /proc/self/status; exit 7"
    done = built.invoke("shell", "--target", TARGET, "--command", command)
    assert done.returncode == 7, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == ["boards", "lib", "model", "tflm"]
    assert lines[4] != "0"
    interfaces = [line.partition(":")[0].strip() for line in lines[5:-1] if ":" in line]
    assert interfaces == ["lo"]
    assert lines[-1] == "CapEff:\t0000000000000000"
