// The model's interpreter: any number of tensors in and out, of any type that the library computes.

#ifndef TFLM_COMMON_INTERPRETER_H_
#define TFLM_COMMON_INTERPRETER_H_

#include "tensorflow/lite/c/common.h"

// Makes the interpreter. Called once, before all others. If the model cannot be run, prints a line that
// begins with "error: " and halts.
void PrepareModel();

// Prints "<program>: board=<board> model=<model>"; the line is not ended.
void PrintBanner(const char* program);

// Prints " arena=<bytes in use>/<bytes there are>".
void PrintArena();

int ModelInputCount();

int ModelOutputCount();

TfLiteTensor& ModelInput(int index);

TfLiteTensor& ModelOutput(int index);

// Sets what the model keeps from one inference to the next to what it was at the start.
void ResetModel();

// Computes the outputs of the inputs. Halts like PrepareModel() on failure.
void RunModel();

#endif  // TFLM_COMMON_INTERPRETER_H_
