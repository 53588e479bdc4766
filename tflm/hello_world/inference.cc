#include "tflm/hello_world/inference.h"

#include "boards/common/board.h"
#include "model_type.h"
#include "tflm/common/console.h"
#include "tflm/common/interpreter.h"

namespace {

constexpr bool kIsInt8 = kModelType == kTfLiteInt8;
static_assert(kIsInt8 || kModelType == kTfLiteFloat32, "the model is not one scalar from another");

TfLiteTensor* g_input;
TfLiteTensor* g_output;

bool IsScalar(const TfLiteTensor* tensor) {
  if (tensor->type != kModelType) return false;
  for (int i = 0; i < tensor->dims->size; ++i) {
    if (tensor->dims->data[i] != 1) return false;
  }
  return true;
}

int8_t Quantise(float x) {
  const float scaled = x / g_input->params.scale + static_cast<float>(g_input->params.zero_point);
  if (!(scaled > -128.0f)) return -128;
  if (scaled >= 127.0f) return 127;
  return static_cast<int8_t>(scaled);
}

float Dequantise(int8_t value, const TfLiteTensor& tensor) {
  return static_cast<float>(value - tensor.params.zero_point) * tensor.params.scale;
}

}  // namespace

void PrepareInference(const char* program) {
  PrepareModel();
  if (ModelInputCount() != 1 || ModelOutputCount() != 1) {
    BoardFatal("the model has not one input and one output");
  }
  g_input = &ModelInput(0);
  g_output = &ModelOutput(0);
  if (!IsScalar(g_input) || !IsScalar(g_output)) {
    BoardFatal("the model has not one scalar input and one scalar output");
  }
  PrintBanner(program);
  PrintText(kIsInt8 ? " type=int8" : " type=float");
  PrintArena();
  PrintText("\r\n");
}

bool ModelIsInt8() { return kIsInt8; }

Inference Infer(float x) {
  if constexpr (kIsInt8) {
    Inference inference = InferRaw(Quantise(x));
    inference.x = x;
    return inference;
  } else {
    g_input->data.f[0] = x;
    RunModel();
    return {x, g_output->data.f[0], 0, 0};
  }
}

Inference InferRaw(int8_t raw_input) {
  g_input->data.int8[0] = raw_input;
  RunModel();
  const int8_t raw_output = g_output->data.int8[0];
  return {Dequantise(raw_input, *g_input), Dequantise(raw_output, *g_output), raw_input,
          raw_output};
}

void PrintInference(const Inference& inference) {
  PrintText("x_value: ");
  PrintFloat(inference.x);
  PrintText(", y_value: ");
  PrintFloat(inference.y);
  PrintText(" raw:");
  if constexpr (kIsInt8) {
    PrintText(" in=");
    PrintDecimal(inference.raw_input);
    PrintText(" out=");
    PrintDecimal(inference.raw_output);
  }
  PrintText(" x=");
  PrintBits(inference.x);
  PrintText(" y=");
  PrintBits(inference.y);
  PrintText("\r\n");
}
