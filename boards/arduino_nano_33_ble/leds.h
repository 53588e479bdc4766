// The LEDs in the order of board.toml.

#ifndef BOARDS_ARDUINO_NANO_33_BLE_LEDS_H_
#define BOARDS_ARDUINO_NANO_33_BLE_LEDS_H_

enum Led : unsigned { kBuiltinLed };

// Brightness is set in steps, as by analogWrite of the Arduino core.
constexpr int kBrightestStep = 255;

#endif  // BOARDS_ARDUINO_NANO_33_BLE_LEDS_H_
