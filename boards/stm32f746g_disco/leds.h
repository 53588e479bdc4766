// The LEDs in the order of board.toml.

#ifndef BOARDS_STM32F746G_DISCO_LEDS_H_
#define BOARDS_STM32F746G_DISCO_LEDS_H_

enum Led : unsigned { kGreenLed };

#endif  // BOARDS_STM32F746G_DISCO_LEDS_H_
