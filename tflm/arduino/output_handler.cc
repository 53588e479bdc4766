// The built-in LED follows the sine: dark at -1, brightest at 1.

#include "tflm/hello_world/output_handler.h"

#include "boards/common/board.h"

void HandleOutput(const Inference& inference) {
  BoardSetLed(0, (inference.y + 1.0f) / 2.0f);
  PrintInference(inference);
}
