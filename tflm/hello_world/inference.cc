#include "tflm/hello_world/inference.h"

#include <new>

#include "boards/common/board.h"
#include "model_data.h"
#include "model_operators.h"
#include "tensorflow/lite/micro/micro_error_reporter.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/version.h"
#include "tflm/hello_world/console.h"
#include "tflm/hello_world/operator_parser.h"

namespace {

constexpr bool kIsInt8 = kModelType == kTfLiteInt8;
static_assert(kIsInt8 || kModelType == kTfLiteFloat32, "the model is neither int8 nor float");
static_assert(kModelArenaSize > 0 && kModelArenaSize % 16 == 0, "the arena is in blocks of 16");

// In a section of its own, so that a board with several RAMs may say where it lies.
alignas(16) __attribute__((section(".bss.arena"))) uint8_t g_arena[kModelArenaSize];

// Space for an object that is made in setup and never destroyed: no destructor is registered, so
// nothing of the C library's exit machinery is linked.
template <typename T>
class Immortal {
 public:
  template <typename... Arguments>
  T& Make(Arguments&&... arguments) {
    return *new (bytes_) T(static_cast<Arguments&&>(arguments)...);
  }

 private:
  alignas(T) unsigned char bytes_[sizeof(T)];
};

Immortal<tflite::MicroErrorReporter> g_error_reporter_space;
Immortal<ModelOpResolver> g_resolver_space;
Immortal<tflite::MicroInterpreter> g_interpreter_space;

tflite::MicroInterpreter* g_interpreter;
TfLiteTensor* g_input;
TfLiteTensor* g_output;

bool IsScalar(const TfLiteTensor* tensor) {
  if (tensor == nullptr || tensor->type != kModelType) return false;
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

void Invoke() {
  if (g_interpreter->Invoke() != kTfLiteOk) BoardFatal("the model's inference failed");
}

}  // namespace

void PrepareInference(const char* program) {
  const tflite::Model* model = tflite::GetModel(g_model);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    BoardFatal("the model's schema version is not the library's");
  }
  tflite::MicroErrorReporter& error_reporter = g_error_reporter_space.Make();
  ModelOpResolver& resolver = g_resolver_space.Make(&error_reporter);
  if (RegisterModelOperators(resolver) != kTfLiteOk) {
    BoardFatal("the model's operators cannot be registered");
  }
  g_interpreter =
      &g_interpreter_space.Make(model, resolver, g_arena, sizeof(g_arena), &error_reporter);
  if (g_interpreter->AllocateTensors() != kTfLiteOk) {
    BoardFatal("the model's tensors cannot be allocated; is its arena large enough?");
  }
  g_input = g_interpreter->input(0);
  g_output = g_interpreter->output(0);
  if (g_interpreter->inputs_size() != 1 || g_interpreter->outputs_size() != 1 ||
      !IsScalar(g_input) || !IsScalar(g_output)) {
    BoardFatal("the model has not one scalar input and one scalar output");
  }
  // Asked for before the banner begins, because a build with logs prints lines of its own here.
  const auto used = static_cast<int32_t>(g_interpreter->arena_used_bytes());
  PrintText(program);
  PrintText(": board=");
  PrintText(kBoardName);
  PrintText(" model=");
  PrintText(kModelName);
  PrintText(kIsInt8 ? " type=int8 arena=" : " type=float arena=");
  PrintDecimal(used);
  PrintText("/");
  PrintDecimal(kModelArenaSize);
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
    Invoke();
    return {x, g_output->data.f[0], 0, 0};
  }
}

Inference InferRaw(int8_t raw_input) {
  g_input->data.int8[0] = raw_input;
  Invoke();
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
