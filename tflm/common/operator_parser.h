// Reads the options of the model's operators, and of no others. Included by one source file only.

#ifndef TFLM_COMMON_OPERATOR_PARSER_H_
#define TFLM_COMMON_OPERATOR_PARSER_H_

#include <cstddef>
#include <utility>

#include "model_operators.h"

// The library's parser is one function with a case for each operator. Its source is compiled here
// once more, so that the compiler sees it together with constant operators and drops the other cases.
#include "tensorflow/lite/core/api/flatbuffer_conversions.cc"

template <tflite::BuiltinOperator kOperator>
__attribute__((flatten, noinline)) TfLiteStatus ParseOperator(
    const tflite::Operator* op, tflite::ErrorReporter* error_reporter,
    tflite::BuiltinDataAllocator* allocator, void** builtin_data) {
  return tflite::ParseOpData(op, kOperator, error_reporter, allocator, builtin_data);
}

// As tflite::ParseOpData(), but kTfLiteError for an operator that is not kModelOperators[kIndex...].
template <size_t... kIndex>
TfLiteStatus ParseModelOperator(std::index_sequence<kIndex...>, const tflite::Operator* op,
                                tflite::BuiltinOperator op_type,
                                tflite::ErrorReporter* error_reporter,
                                tflite::BuiltinDataAllocator* allocator, void** builtin_data) {
  TfLiteStatus status = kTfLiteError;
  // The first operator that matches parses; the expression stops there.
  (void)((op_type == kModelOperators[kIndex] &&
          (status = ParseOperator<kModelOperators[kIndex]>(op, error_reporter, allocator,
                                                           builtin_data),
           true)) ||
         ...);
  return status;
}

// Resolver of the model's operators. The library's own one links the parsers of all operators,
// 4.6 KB of code.
class ModelOpResolver final : public tflite::MicroMutableOpResolver<kModelOperatorCount> {
 public:
  using MicroMutableOpResolver::MicroMutableOpResolver;

  BuiltinParseFunction GetOpDataParser(tflite::BuiltinOperator) const override { return Parse; }

 private:
  static TfLiteStatus Parse(const tflite::Operator* op, tflite::BuiltinOperator op_type,
                            tflite::ErrorReporter* error_reporter,
                            tflite::BuiltinDataAllocator* allocator, void** builtin_data) {
    return ParseModelOperator(std::make_index_sequence<kModelOperatorCount>(), op, op_type,
                              error_reporter, allocator, builtin_data);
  }

  TF_LITE_REMOVE_VIRTUAL_DELETE
};

#endif  // TFLM_COMMON_OPERATOR_PARSER_H_
