#include "tflm/model_runner/cases.h"

#include <cstddef>
#include <cstring>

#include "boards/common/board.h"
#include "tflm/common/console.h"
#include "tflm/common/interpreter.h"

namespace {

constexpr unsigned kLed = 0;

// Returns where the next case's inputs begin.
const unsigned char* CopyInputs(const unsigned char* bytes) {
  for (int i = 0; i < ModelInputCount(); ++i) {
    TfLiteTensor& tensor = ModelInput(i);
    std::memcpy(tensor.data.raw, bytes, tensor.bytes);
    bytes += tensor.bytes;
  }
  return bytes;
}

bool OutputsEqual(const unsigned char* bytes) {
  for (int i = 0; i < ModelOutputCount(); ++i) {
    const TfLiteTensor& tensor = ModelOutput(i);
    if (std::memcmp(tensor.data.raw, bytes, tensor.bytes) != 0) return false;
    bytes += tensor.bytes;
  }
  return true;
}

size_t OutputBytes() {
  size_t bytes = 0;
  for (int i = 0; i < ModelOutputCount(); ++i) bytes += ModelOutput(i).bytes;
  return bytes;
}

void PrintBytes(const TfLiteTensor& tensor) {
  for (size_t i = 0; i < tensor.bytes; ++i) {
    const auto byte = static_cast<unsigned char>(tensor.data.raw[i]);
    const char text[] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 0xF], '\0'};
    PrintText(text);
  }
}

// Returns whether the outputs were those that are expected.
bool RunCase(int number, const unsigned char* expected) {
  RunModel();
  const bool equal = OutputsEqual(expected);
  PrintText("case ");
  PrintDecimal(number);
  PrintText(equal ? " equal:" : " different:");
  for (int i = 0; i < ModelOutputCount(); ++i) {
    PrintText(" ");
    PrintBytes(ModelOutput(i));
  }
  PrintText("\r\n");
  return equal;
}

}  // namespace

int RunCases() {
  const unsigned char* inputs = g_case_inputs;
  const unsigned char* outputs = g_case_outputs;
  const size_t output_bytes = OutputBytes();
  int different = 0;
  for (int number = 0; number < kCaseCount; ++number) {
    BoardSetLed(kLed, number % 2 == 0 ? 1.0f : 0.0f);
    // Each case is computed as the first one after a start would be.
    ResetModel();
    inputs = CopyInputs(inputs);
    if (!RunCase(number, outputs)) different += 1;
    outputs += output_bytes;
  }
  return different;
}
