// Text on the board's console. Lines end in "\r\n".

#ifndef TFLM_COMMON_CONSOLE_H_
#define TFLM_COMMON_CONSOLE_H_

#include <cstdint>

void PrintText(const char* text);

void PrintDecimal(int32_t value);

// The IEEE-754 bits of `value` as 0x and eight digits.
void PrintBits(float value);

// `value` as TensorFlow Lite Micro writes floats: 1.5707963*2^0.
void PrintFloat(float value);

#endif  // TFLM_COMMON_CONSOLE_H_
