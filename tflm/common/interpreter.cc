#include "tflm/common/interpreter.h"

#include <new>

#include "boards/common/board.h"
#include "model_data.h"
#include "model_operators.h"
#include "tensorflow/lite/micro/micro_error_reporter.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/version.h"
#include "tflm/common/arena.h"
#include "tflm/common/console.h"
#include "tflm/common/operator_parser.h"

namespace {

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
int32_t g_arena_used;

}  // namespace

void PrepareModel() {
  const tflite::Model* model = tflite::GetModel(g_model);
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    BoardFatal("the model's schema version is not the library's");
  }
  tflite::MicroErrorReporter& error_reporter = g_error_reporter_space.Make();
  ModelOpResolver& resolver = g_resolver_space.Make(&error_reporter);
  if (RegisterModelOperators(resolver) != kTfLiteOk) {
    BoardFatal("the model's operators cannot be registered");
  }
  g_interpreter = &g_interpreter_space.Make(model, resolver, g_arena,
                                            static_cast<size_t>(kArenaSize), &error_reporter);
  if (g_interpreter->AllocateTensors() != kTfLiteOk) {
    BoardFatal("the model's tensors cannot be allocated; is its arena large enough?");
  }
  // Asked for before a banner begins, because a build with logs prints lines of its own here.
  g_arena_used = static_cast<int32_t>(g_interpreter->arena_used_bytes());
}

void PrintBanner(const char* program) {
  PrintText(program);
  PrintText(": board=");
  PrintText(kBoardName);
  PrintText(" model=");
  PrintText(kModelName);
}

void PrintArena() {
  PrintText(" arena=");
  PrintDecimal(g_arena_used);
  PrintText("/");
  PrintDecimal(kArenaSize);
}

int ModelInputCount() { return static_cast<int>(g_interpreter->inputs_size()); }

int ModelOutputCount() { return static_cast<int>(g_interpreter->outputs_size()); }

TfLiteTensor& ModelInput(int index) {
  return *g_interpreter->input(static_cast<size_t>(index));
}

TfLiteTensor& ModelOutput(int index) {
  return *g_interpreter->output(static_cast<size_t>(index));
}

void ResetModel() {
  if (g_interpreter->ResetVariableTensors() != kTfLiteOk) {
    BoardFatal("the model's state cannot be reset");
  }
}

void RunModel() {
  if (g_interpreter->Invoke() != kTfLiteOk) BoardFatal("the model's inference failed");
}
