// What becomes of a result.

#ifndef TFLM_HELLO_WORLD_OUTPUT_HANDLER_H_
#define TFLM_HELLO_WORLD_OUTPUT_HANDLER_H_

#include "tflm/hello_world/inference.h"

// Shows the result and then prints it with PrintInference(). A board may define its own in
// boards/<name>/output_handler.cc.
void HandleOutput(const Inference& inference);

#endif  // TFLM_HELLO_WORLD_OUTPUT_HANDLER_H_
