#include "tflm/host/kernel_resolver.h"

#include <cstdarg>

#include "tensorflow/lite/core/api/flatbuffer_conversions.h"
#include "tensorflow/lite/micro/kernels/micro_ops.h"
#include "tflm/host/messages.h"

namespace {

void ReportKernelError(TfLiteContext*, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  KeepMessage(format, arguments);
  va_end(arguments);
}

// A kernel whose messages arrive: the interpreter's own ReportError passes a va_list on as if it
// were the arguments, so that a %s of it reads what is no text.
template <TfLiteRegistration* (*kRegister)()>
struct Kernel {
  static void* Init(TfLiteContext* context, const char* buffer, size_t length) {
    context->ReportError = ReportKernelError;
    return kRegister()->init(context, buffer, length);
  }

  static TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
    context->ReportError = ReportKernelError;
    return kRegister()->prepare(context, node);
  }

  static TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
    context->ReportError = ReportKernelError;
    return kRegister()->invoke(context, node);
  }

  static TfLiteRegistration Registration(tflite::BuiltinOperator op) {
    TfLiteRegistration registration = *kRegister();
    if (registration.init != nullptr) registration.init = Init;
    if (registration.prepare != nullptr) registration.prepare = Prepare;
    if (registration.invoke != nullptr) registration.invoke = Invoke;
    registration.builtin_code = op;
    return registration;
  }
};

const TfLiteRegistration g_kernels[] = {
#define KERNEL(name) \
  Kernel<tflite::ops::micro::Register_##name>::Registration(tflite::BuiltinOperator_##name),
#include "tflm/host/kernel_list.h"
#undef KERNEL
};

}  // namespace

const TfLiteRegistration* KernelResolver::FindOp(tflite::BuiltinOperator op, int) const {
  for (const TfLiteRegistration& kernel : g_kernels) {
    if (kernel.builtin_code == op) return &kernel;
  }
  return nullptr;
}

const TfLiteRegistration* KernelResolver::FindOp(const char*, int) const { return nullptr; }

tflite::MicroOpResolver::BuiltinParseFunction KernelResolver::GetOpDataParser(
    tflite::BuiltinOperator) const {
  return tflite::ParseOpData;
}

TfLiteStatus KernelResolver::AddBuiltin(tflite::BuiltinOperator, TfLiteRegistration*, int) {
  return kTfLiteError;
}
