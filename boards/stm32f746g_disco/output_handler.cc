// A dot runs along the sine on the display; the LED is brightest at the top of the curve and dark at
// its bottom.

#include "tflm/hello_world/output_handler.h"

#include "boards/common/board.h"
#include "boards/stm32f746g_disco/display.h"
#include "boards/stm32f746g_disco/leds.h"
#include "tflm/hello_world/constants.h"

void HandleOutput(const Inference& inference) {
  constexpr int kSpanX = kDisplayWidth - 2 * kDotRadius;
  constexpr int kMiddleY = (kDisplayHeight - 2 * kDotRadius) / 2;
  // The display's y runs downwards.
  DisplayDot(kDotRadius + static_cast<int>(inference.x * (kSpanX / kXrange)),
             kDotRadius + static_cast<int>(kMiddleY * (1.0f - inference.y)));
  BoardSetLed(kGreenLed, (1.0f + inference.y) / 2.0f);
  PrintInference(inference);
}
