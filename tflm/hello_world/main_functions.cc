// x runs through one period of the sine again and again.
// What the generated model files must provide: README.md.

#include "tflm/common/main_functions.h"

#include "boards/common/board.h"
#include "tflm/hello_world/constants.h"
#include "tflm/hello_world/inference.h"
#include "tflm/hello_world/output_handler.h"

namespace {

int g_inference_count = 0;

}  // namespace

void setup() {
  BoardInit();
  PrepareInference("hello_world");
}

void loop() {
  const float position =
      static_cast<float>(g_inference_count) / static_cast<float>(kInferencesPerCycle);
  HandleOutput(Infer(position * kXrange));
  g_inference_count += 1;
  if (g_inference_count >= kInferencesPerCycle) g_inference_count = 0;
}
