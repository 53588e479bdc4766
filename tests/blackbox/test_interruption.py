"""Commands that are stopped, killed, or meet each other."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence

import pytest

from tests.blackbox.support import FIRMWARE, TARGET, Checkout, Containers, steps_run

BUILD = ("build", "--target", TARGET)
TRAINING = ("train", "--epochs", "100000")


def begun(checkout: Checkout) -> None:
    """Bring the outputs up to date, then make the firmware stale."""
    assert checkout.invoke(*BUILD).returncode == 0
    checkout.touch_firmware()


def stopped_during_a_step(
    checkout: Checkout, containers: Containers, command: Sequence[str], number: signal.Signals
) -> subprocess.CompletedProcess[str]:
    with checkout.start(*command) as running:
        containers.wait_for_one(checkout, running)
        running.send(number)
        return running.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [TRAINING, BUILD])
def test_stopping_leaves_no_container_and_the_earlier_outputs(
    copy: Checkout, containers: Containers, command: Sequence[str], number: signal.Signals
) -> None:
    begun(copy)
    before = copy.outputs()
    done = stopped_during_a_step(copy, containers, command, number)
    assert done.returncode == 130
    assert done.stdout == ""
    assert "error: stopped" in done.stderr
    assert "Traceback" not in done.stderr
    assert containers.present(copy) == []
    assert copy.sandboxes() == []
    assert copy.outputs() == before
    again = copy.invoke(*BUILD)
    assert again.returncode == 0, again.stderr
    assert steps_run(again.stderr) == {FIRMWARE}
    assert copy.outputs() != before


def test_stopping_the_first_build_leaves_no_outputs(copy: Checkout, containers: Containers) -> None:
    copy.touch_firmware()
    assert stopped_during_a_step(copy, containers, BUILD, signal.SIGINT).returncode == 130
    assert copy.outputs() == {}
    assert containers.present(copy) == []
    assert copy.invoke(*BUILD).returncode == 0


def test_after_a_kill_the_next_build_cleans_up_and_succeeds(
    copy: Checkout, containers: Containers
) -> None:
    begun(copy)
    before = copy.outputs()
    with copy.start(*BUILD) as running:
        orphan = containers.wait_for_one(copy, running)
        running.process.kill()
        assert running.end().returncode == -signal.SIGKILL
    assert copy.outputs() == before
    assert containers.present(copy) == [orphan]
    assert copy.sandboxes() != []
    done = copy.invoke(*BUILD)
    assert done.returncode == 0, done.stderr
    assert "removed what 1 interrupted step" in done.stderr
    assert steps_run(done.stderr) == {FIRMWARE}
    assert containers.present(copy) == []
    assert copy.sandboxes() == []


def test_of_two_builds_at_once_the_second_waits_and_each_step_runs_once(
    copy: Checkout, containers: Containers
) -> None:
    copy.touch_firmware()
    with copy.start(*BUILD) as first:
        containers.wait_for_one(copy, first)
        with copy.start(*BUILD) as second:
            ended = [first.end(), second.end()]
    assert [done.returncode for done in ended] == [0, 0], ended
    assert f"waiting for process {first.process.pid} (" in ended[1].stderr
    assert "build --target sparkfun_edge) to finish" in ended[1].stderr
    assert "waiting" not in ended[0].stderr
    assert ended[0].stdout == ended[1].stdout
    assert [steps_run(done.stderr) for done in ended] == [{FIRMWARE}, set()]
    assert len(containers.created(copy)) == 1


def test_a_command_that_waits_can_be_stopped_and_the_first_goes_on(
    copy: Checkout, containers: Containers
) -> None:
    copy.touch_firmware()
    with copy.start(*BUILD) as first:
        containers.wait_for_one(copy, first)
        with copy.start(*BUILD) as second:
            assert second.process.stderr is not None
            assert second.process.stderr.readline().startswith("waiting for process")
            second.send(signal.SIGINT)
            stopped = second.end()
        assert (stopped.returncode, stopped.stdout) == (130, "")
        assert "Traceback" not in stopped.stderr
        done = first.end()
    assert done.returncode == 0, done.stderr
