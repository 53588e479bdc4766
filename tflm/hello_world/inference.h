// The model and its interpreter: one scalar in, one scalar out.

#ifndef TFLM_HELLO_WORLD_INFERENCE_H_
#define TFLM_HELLO_WORLD_INFERENCE_H_

#include <cstdint>

// One inference.
struct Inference {
  float x;
  float y;
  // What the tensors held; meaningful for an int8 model only.
  int8_t raw_input;
  int8_t raw_output;
};

// Makes the interpreter and prints the banner with the name of the program. If the model cannot be
// run, prints a line that begins with "error: " and halts.
void PrepareInference(const char* program);

// Whether the model's input and output are int8; they are float otherwise.
bool ModelIsInt8();

// Runs the model on `x`; an int8 model gets it quantised. Halts like PrepareInference() on failure.
Inference Infer(float x);

// Runs an int8 model on `raw_input`; `x` is then what that stands for.
Inference InferRaw(int8_t raw_input);

// Prints the line "x_value: ... y_value: ... raw: ...".
void PrintInference(const Inference& inference);

#endif  // TFLM_HELLO_WORLD_INFERENCE_H_
