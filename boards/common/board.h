// What an application may ask of any board. Each boards/<name>/board.cc implements it.

#ifndef BOARDS_COMMON_BOARD_H_
#define BOARDS_COMMON_BOARD_H_

#include <cstddef>

// The board's name in board.toml.
extern const char kBoardName[];

// Brings up clock, console (115200 baud 8N1) and LEDs. Called once, first of all, by setup().
void BoardInit();

// Sends `length` bytes to the console; waits while the transmitter is full.
void BoardConsoleWrite(const char* text, size_t length);

// Waits until the last bit has left the transmitter.
void BoardConsoleFlush();

// Sets the brightness of a LED, from 0 (off) to 1; values outside are clamped and NaN is off.
// `led` is the index of the LED among the [[led]] tables of board.toml.
void BoardSetLed(unsigned led, float brightness);

// Ends the program: interrupts masked, core asleep. Flushes the console if it is up.
[[noreturn]] void BoardHalt();

// Prints "error: <message>" if the console is up, then halts.
[[noreturn]] void BoardFatal(const char* message);

#endif  // BOARDS_COMMON_BOARD_H_
