"""What the user is told to type next."""

from __future__ import annotations

from tests.blackbox.support import TARGET, Checkout


def test_the_commands_to_type_next_are_for_what_was_built(built: Checkout) -> None:
    done = built.invoke("build", "--target", TARGET, "--model", "sine_float")
    assert done.returncode == 0, done.stderr
    line = f"next: ./invoke simulate --target {TARGET} --model sine_float "
    assert line in done.stdout
    after = built.invoke(*line.split()[2:])
    assert after.returncode == 0, after.stderr
    assert "SparkFun Edge, sine_float, simulated" in after.stdout
