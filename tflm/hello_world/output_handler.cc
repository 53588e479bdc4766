#include "tflm/hello_world/output_handler.h"

void HandleOutput(const Inference& inference) { PrintInference(inference); }
