// Runs a model on the cases that were built in, again and again, and prints every byte of its outputs.
//
// To give the model what a sensor measures instead, fill ModelInput() in loop(), call RunModel(), and
// read ModelOutput().

#include "tflm/common/main_functions.h"

#include "boards/common/board.h"
#include "tflm/common/console.h"
#include "tflm/common/interpreter.h"
#include "tflm/model_runner/cases.h"

void setup() {
  BoardInit();
  PrepareModel();
  PrintBanner("model_runner");
  PrintArena();
  PrintText(" cases=");
  PrintDecimal(kCaseCount);
  PrintText("\r\n");
}

void loop() {
  const int different = RunCases();
  if (different == 0) {
    PrintText("~~~ALL CASES EQUAL~~~\r\n");
    return;
  }
  PrintText("~~~");
  PrintDecimal(different);
  PrintText(" CASES DIFFER~~~\r\n");
}
