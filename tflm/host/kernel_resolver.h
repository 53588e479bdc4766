// Finds every kernel of the pinned tree, whatever version of the operator a model asks for: which
// versions they know is for model/kernels.py to say.

#ifndef TFLM_HOST_KERNEL_RESOLVER_H_
#define TFLM_HOST_KERNEL_RESOLVER_H_

#include "tensorflow/lite/micro/micro_op_resolver.h"

class KernelResolver final : public tflite::MicroOpResolver {
 public:
  const TfLiteRegistration* FindOp(tflite::BuiltinOperator op, int version) const override;
  const TfLiteRegistration* FindOp(const char* op, int version) const override;
  BuiltinParseFunction GetOpDataParser(tflite::BuiltinOperator op) const override;
  TfLiteStatus AddBuiltin(tflite::BuiltinOperator op, TfLiteRegistration* registration,
                          int version) override;
};

#endif  // TFLM_HOST_KERNEL_RESOLVER_H_
