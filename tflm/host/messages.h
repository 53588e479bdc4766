// What the library says of a model, kept until it is asked for.

#ifndef TFLM_HOST_MESSAGES_H_
#define TFLM_HOST_MESSAGES_H_

#include <cstdarg>
#include <string>

#include "tensorflow/lite/core/api/error_reporter.h"

// Keeps a message; the library's formats are those of printf.
void KeepMessage(const char* format, va_list arguments);

// Returns the messages kept since the last call on one line, and forgets them.
std::string TakeMessages();

class MessageKeeper final : public tflite::ErrorReporter {
 public:
  int Report(const char* format, va_list arguments) override;
};

#endif  // TFLM_HOST_MESSAGES_H_
