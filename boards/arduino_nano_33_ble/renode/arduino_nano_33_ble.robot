*** Comments ***
Arduino Nano 33 BLE: what its firmware prints, its own test, and its LEDs.
    renode-test --variable BIN:/path/of/hello_world.bin --variable TEST_BIN:/path/of/hello_world_test.bin arduino_nano_33_ble.robot

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
    Wait For Line On Uart           hello_world: board\=arduino_nano_33_ble model\=
    Wait For Line On Uart           ^x_value: \\S+, y_value: \\S+ raw:.* x\=0x[0-9a-f]{8} y\=0x[0-9a-f]{8}    treatAsRegex=true

Passes Its Own Test
    Prepare                         ${TEST_BIN}
    Create Terminal Tester          ${UART}             timeout=60
    Start Emulation
    Wait For Line On Uart           hello_world_test: board\=arduino_nano_33_ble model\=
    Wait For Line On Uart           ~~~ALL TESTS PASSED~~~

LED Follows The Sine
    Prepare                         ${BIN}
    ${led}=    Create Led Tester    sysbus.led_builtin  defaultTimeout=20
    Create Log Tester               20
    Start Emulation
    # Bright in the upper half of the sine, dim in the lower one, and so on.
    Assert Led State                true                testerId=${led}
    Assert Led State                false               testerId=${led}
    Assert Led State                true                testerId=${led}
    Wait For Log Entry              LED builtin: \\d+ of 1000    treatAsRegex=true
