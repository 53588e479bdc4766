// Inputs of the model, and what it must compute of them.

#ifndef TFLM_MODEL_RUNNER_CASES_H_
#define TFLM_MODEL_RUNNER_CASES_H_

// Defined in the generated file model_cases.cc.
extern const int kCaseCount;

// The bytes of all input tensors of case 0, in the model's order, then those of case 1, and so on.
extern const unsigned char g_case_inputs[];

// The bytes of the output tensors likewise.
extern const unsigned char g_case_outputs[];

// Runs the model on each case and prints a line for it: "case <number> equal: <outputs>", or "different"
// in place of "equal"; each output tensor as the hexadecimal digits of its bytes. Returns how many
// differed.
int RunCases();

#endif  // TFLM_MODEL_RUNNER_CASES_H_
