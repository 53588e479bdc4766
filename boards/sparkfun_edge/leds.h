// The LEDs in the order of board.toml.

#ifndef BOARDS_SPARKFUN_EDGE_LEDS_H_
#define BOARDS_SPARKFUN_EDGE_LEDS_H_

enum Led : unsigned { kRedLed, kBlueLed, kGreenLed, kYellowLed };

#endif  // BOARDS_SPARKFUN_EDGE_LEDS_H_
