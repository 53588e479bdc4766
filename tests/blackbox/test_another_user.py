"""Another user than the one who made the checkout."""

from __future__ import annotations

import os

import pytest

from tests.blackbox.support import SETPRIV, TARGET, Checkout, failed, succeeds


@pytest.fixture
def nobody() -> None:
    if os.geteuid() != 0 or not succeeds(*SETPRIV, "true"):
        pytest.skip("not run: here one cannot become another user who may read everything")


@pytest.mark.usefixtures("nobody")
def test_another_users_checkout_is_looked_at_and_what_may_not_be_written_is_told(
    lone_copy: Checkout,
) -> None:
    assert lone_copy.invoke("build", "--target", TARGET).returncode == 0
    before = lone_copy.outputs()
    for path in [lone_copy.cache, *lone_copy.cache.rglob("*")]:
        os.chown(path, 65534, 65534)
    program = [*SETPRIV, str(lone_copy.folder / "invoke")]
    targets = lone_copy.invoke("targets", program=program)
    assert targets.returncode == 0, targets.stderr
    assert TARGET in targets.stdout
    # What is up to date needs no writing.
    done = lone_copy.invoke("build", "--target", TARGET, program=program)
    assert done.returncode == 0, done.stderr
    (lone_copy.output / "hello_world.bin").write_bytes(b"")
    said = failed(lone_copy.invoke("build", "--target", TARGET, program=program), 9)
    assert "cannot be written: Permission denied" in said
    assert "another user" in said
    left = {name for name, digest in lone_copy.outputs().items() if before.get(name) != digest}
    assert {name.rpartition("/")[2] for name in left} == {"hello_world.bin"}


@pytest.mark.usefixtures("nobody")
def test_another_users_cache_is_one_error(lone_copy: Checkout) -> None:
    lone_copy.touch_firmware()
    for path in [lone_copy.folder, *lone_copy.folder.rglob("*")]:
        if not path.is_symlink():
            os.chown(path, 65534, 65534)
    program = [*SETPRIV, str(lone_copy.folder / "invoke")]
    said = failed(lone_copy.invoke("build", "--target", TARGET, program=program), 9)
    assert str(lone_copy.cache) in said
    assert "TOOLCHAIN_CACHE" in said
