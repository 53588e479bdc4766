#include "tflm/common/console.h"

#include <cstring>

#include "boards/common/board.h"
#include "tensorflow/lite/micro/debug_log.h"
#include "tensorflow/lite/micro/micro_string.h"

void PrintText(const char* text) { BoardConsoleWrite(text, std::strlen(text)); }

void PrintDecimal(int32_t value) {
  char text[16];
  MicroSnprintf(text, sizeof(text), "%d", value);
  PrintText(text);
}

void PrintBits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  char text[] = "0x00000000";
  for (char* digit = text + sizeof(text) - 2; bits != 0; --digit) {
    *digit = "0123456789abcdef"[bits & 0xF];
    bits >>= 4;
  }
  PrintText(text);
}

void PrintFloat(float value) {
  char text[48];
  MicroSnprintf(text, sizeof(text), "%f", static_cast<double>(value));
  PrintText(text);
}

// Where the library's own messages go.
extern "C" void DebugLog(const char* text) { PrintText(text); }
