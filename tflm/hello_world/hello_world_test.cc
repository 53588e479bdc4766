// Runs every possible input of an int8 model, or 1,000 inputs of a float model, prints each result
// for comparison with the model's reference, and checks on the spot that it is near the sine.

#include <cmath>

#include "boards/common/board.h"
#include "tflm/common/console.h"
#include "tflm/hello_world/constants.h"
#include "tflm/hello_world/inference.h"

namespace {

// The model learnt from samples with noise; a quantised one adds its steps.
constexpr float kLargestError = 0.12f;

// False for NaN.
bool IsNearSine(const Inference& inference) {
  return std::fabs(inference.y - std::sin(inference.x)) < kLargestError;
}

bool TestInt8() {
  bool passed = true;
  for (int input = -128; input <= 127; ++input) {
    const Inference inference = InferRaw(static_cast<int8_t>(input));
    PrintText("test: in=");
    PrintDecimal(inference.raw_input);
    PrintText(" out=");
    PrintDecimal(inference.raw_output);
    PrintText("\r\n");
    passed = IsNearSine(inference) && passed;
  }
  return passed;
}

bool TestFloat() {
  constexpr int kInputs = 1000;
  bool passed = true;
  for (int i = 0; i < kInputs; ++i) {
    const Inference inference = Infer(static_cast<float>(i) / static_cast<float>(kInputs) * kXrange);
    PrintText("test: x=");
    PrintBits(inference.x);
    PrintText(" y=");
    PrintBits(inference.y);
    PrintText("\r\n");
    passed = IsNearSine(inference) && passed;
  }
  return passed;
}

}  // namespace

int main() {
  BoardInit();
  PrepareInference("hello_world_test");
  const bool passed = ModelIsInt8() ? TestInt8() : TestFloat();
  PrintText(passed ? "~~~ALL TESTS PASSED~~~\r\n" : "~~~SOME TESTS FAILED~~~\r\n");
  BoardHalt();
}
