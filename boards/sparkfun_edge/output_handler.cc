// Four LEDs show the sine: blue below zero, green above, each as bright as |y|; red joins at the
// bottom of the curve and yellow at its top.

#include "tflm/hello_world/output_handler.h"

#include "boards/common/board.h"
#include "boards/sparkfun_edge/leds.h"

void HandleOutput(const Inference& inference) {
  constexpr float kPeak = 0.75f;
  const float y = inference.y;
  const float below = y < 0.0f ? -y : 0.0f;
  const float above = y > 0.0f ? y : 0.0f;
  BoardSetLed(kRedLed, below >= kPeak ? below : 0.0f);
  BoardSetLed(kBlueLed, below);
  BoardSetLed(kGreenLed, above);
  BoardSetLed(kYellowLed, above >= kPeak ? above : 0.0f);
  PrintInference(inference);
}
