*** Comments ***
SparkFun Edge: what its firmware prints, its own test, and its LEDs.
    renode-test --variable BIN:/path/of/hello_world.bin --variable TEST_BIN:/path/of/hello_world_test.bin sparkfun_edge.robot

*** Settings ***
Suite Setup                         Setup
Suite Teardown                      Teardown
Test Setup                          Reset Emulation
Test Teardown                       Test Teardown
Resource                            ${RENODEKEYWORDS}

*** Variables ***
${UART}                             sysbus.uart0

*** Keywords ***
# An equals sign without backslash would make the text the name of an argument.
Prepare
    [Arguments]                     ${image}
    Execute Command                 $bin\=@${image}
    Execute Script                  ${CURDIR}/run_bin.resc

*** Test Cases ***
Prints Its Banner And Results
    Prepare                         ${BIN}
    Create Terminal Tester          ${UART}             timeout=20
    Start Emulation
    Wait For Line On Uart           hello_world: board\=sparkfun_edge model\=
    Wait For Line On Uart           ^x_value: \\S+, y_value: \\S+ raw:.* x\=0x[0-9a-f]{8} y\=0x[0-9a-f]{8}    treatAsRegex=true

Passes Its Own Test
    Prepare                         ${TEST_BIN}
    Create Terminal Tester          ${UART}             timeout=60
    Start Emulation
    Wait For Line On Uart           hello_world_test: board\=sparkfun_edge model\=
    Wait For Line On Uart           ~~~ALL TESTS PASSED~~~

LEDs Follow The Sine
    Prepare                         ${BIN}
    ${green}=  Create Led Tester    sysbus.led_green    defaultTimeout=20
    ${blue}=   Create Led Tester    sysbus.led_blue     defaultTimeout=20
    Create Log Tester               20
    Start Emulation
    # Above zero green is lit, below zero blue, and then green again.
    Assert Led State                true                testerId=${green}
    Assert Led State                true                testerId=${blue}
    Assert Led State                false               testerId=${green}
    Assert Led State                true                testerId=${green}
    # At its top the sine joins yellow, at its bottom red.
    Wait For Log Entry              LED yellow:
    Wait For Log Entry              LED red:
