// The built-in LED follows the sine: dark at its bottom, brightest at its top.

#include "tflm/hello_world/output_handler.h"

#include "boards/arduino_nano_33_ble/leds.h"
#include "boards/common/board.h"

namespace {

// Upstream's brightness, (int)(127.5f * (y + 1)), clamped; 0 for NaN.
int BrightnessOf(float y) {
  const float step = 127.5f * (y + 1.0f);
  if (!(step > 0.0f)) return 0;
  if (step >= kBrightestStep) return kBrightestStep;
  return static_cast<int>(step);
}

}  // namespace

void HandleOutput(const Inference& inference) {
  BoardSetLed(kBuiltinLed, static_cast<float>(BrightnessOf(inference.y)) / kBrightestStep);
  PrintInference(inference);
}
