// The board as the Arduino core offers it: console on Serial, the built-in LED by analogWrite().

#include <Arduino.h>

#include "boards/common/board.h"

namespace {

bool g_console_is_up = false;

}  // namespace

const char kBoardName[] = "arduino";

void BoardInit() {
  Serial.begin(115200);
  pinMode(LED_BUILTIN, OUTPUT);
  g_console_is_up = true;
}

void BoardConsoleWrite(const char* text, size_t length) {
  if (!g_console_is_up) return;
  Serial.write(reinterpret_cast<const uint8_t*>(text), length);
}

void BoardConsoleFlush() {
  if (g_console_is_up) Serial.flush();
}

void BoardSetLed(unsigned, float brightness) {
  int level = 0;
  if (brightness >= 1.0f) {
    level = 255;
  } else if (brightness > 0.0f) {
    level = static_cast<int>(brightness * 255.0f + 0.5f);
  }
  analogWrite(LED_BUILTIN, level);
}

// Interrupts stay on: where Serial is USB, they carry the last words to the computer.
void BoardHalt() {
  BoardConsoleFlush();
  for (;;) delay(1000);
}

void BoardFatal(const char* message) {
  const char kError[] = "error: ";
  BoardConsoleWrite(kError, sizeof(kError) - 1);
  size_t length = 0;
  while (message[length] != '\0') ++length;
  BoardConsoleWrite(message, length);
  BoardConsoleWrite("\r\n", 2);
  BoardHalt();
}
