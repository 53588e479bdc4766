"""The boards' tests for renode-test: what is called is there, in an order that can come true."""

from __future__ import annotations

import re

import pytest

from tests.unit.renode_support import BOARDS, platform_of, renode_folder
from toolchain.boards import Board
from toolchain.renode.lint import console_name
from toolchain.renode.robot import RobotError, parse_robot, robot_problems

EDGE = BOARDS["sparkfun_edge"]
every_board = pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS.keys())


def text_of(board: Board) -> str:
    return (renode_folder(board) / f"{board.name}.robot").read_text(encoding="utf-8")


def problems_of(text: str, board: Board = EDGE) -> tuple[str, ...]:
    return robot_problems(parse_robot(text), platform_of(board), console_name(board))


@every_board
def test_the_tests_of_a_board_call_what_renode_has(board: Board) -> None:
    assert problems_of(text_of(board), board) == ()


@every_board
def test_every_led_and_both_programs_are_looked_at(board: Board) -> None:
    text = text_of(board)
    leds = set(re.findall(r"Create Led Tester +sysbus\.led_(\w+)", text))
    leds |= set(re.findall(r"Wait For Log Entry +LED (\w+):", text))
    assert leds == {led.name for led in board.led}
    banners = re.findall(r"Wait For Line On Uart +(hello_world\w*): board\\=(\w+) model\\=", text)
    assert banners == [("hello_world", board.name), ("hello_world_test", board.name)]
    assert "~~~ALL TESTS PASSED~~~" in text


def test_a_step_is_read_with_its_result_and_its_arguments() -> None:
    robot = parse_robot(text_of(EDGE))
    step = robot.tests["LEDs Follow The Sine"][1]
    assert (step.keyword, step.result) == ("Create Led Tester", "${green}")
    assert step.arguments == ("sysbus.led_green", "defaultTimeout=20")
    assert robot.value("${UART} a\\=b") == "sysbus.uart0 a=b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("*** Tasks ***\nOne\n", "line 2: a section that is not read here: Tasks"),
        ("*** Settings ***\nResource ${A}\n", "line 2: not a name and its value"),
        ("*** Test Cases ***\n    Setup\n", "line 2: a step is indented by four spaces, below"),
        ("*** Test Cases ***\nOne\n  Setup\n", "line 3: a step is indented by four spaces"),
        ("*** Test Cases ***\nOne\nOne\n", "line 3: 'One' is there twice"),
        ("*** Test Cases ***\nOne\n    ${a}=\n", "line 3: nothing is called"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str) -> None:
    with pytest.raises(RobotError, match=re.escape(message)):
        parse_robot(text)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Test Teardown      ", "Task Teardown      ", "setting Test Teardown is None, not"),
        ("Assert Led State  ", "Assert LED Status ", "no keyword 'Assert LED Status' is known"),
        ("Start Emulation\n", "Start Emulation     now\n", "Start Emulation takes 0 to 0"),
        ("Create Log Tester               20\n", "Create Log Tester\n", "takes 1 to 2 arguments"),
        ("board\\=", "board=", "has no argument 'hello_world: board'; write"),
        ("timeout=20", "timeOut=20", "Create Terminal Tester has no argument 'timeOut'"),
        ("timeout=20", "uart=20", "Create Terminal Tester is given 'uart' twice"),
        ("true                testerId=${green}", "testerId=${green}    true", "follows one with"),
        ("testerId=${green}", "testerId=${grun}", "${grun} is not set"),
        ("${image}\n    Execute Script", "${picture}\n    Execute Script", "${picture} is not set"),
        ("sysbus.led_green ", "sysbus.led_grean ", "sysbus.led_grean is no LED"),
        ("sysbus.uart0", "sysbus.uart1", "sysbus.uart1 is not the console"),
        ("Assert Led State                true", "Assert Led State                on", "not on"),
        ("LED yellow:", "LEDs yellow:", "no script says 'LEDs yellow:'"),
        ("raw:.* x", "raw:(.* x", "no regular expression: "),
        ("    Prepare                         ${BIN}\n", "", "comes before its machine"),
        ("    Prepare                         ${BIN}", "    Prepare", "Prepare takes 1 arguments"),
        ("    Start Emulation\n", "", "Wait For Line On Uart comes before its start"),
    ],
)
def test_a_mistake_in_a_test_is_found(old: str, new: str, message: str) -> None:
    text = text_of(EDGE)
    assert old in text, old
    found = problems_of(text.replace(old, new, 1))
    assert any(message in problem for problem in found), found


def test_what_is_listened_to_after_the_start_is_found() -> None:
    text = text_of(EDGE)
    start = "    Start Emulation\n"
    log = "    Create Log Tester               20\n"
    assert log + start in text
    found = problems_of(text.replace(log + start, start + log))
    assert any("Create Log Tester misses what came since the start" in each for each in found)
