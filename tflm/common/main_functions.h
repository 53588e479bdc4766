// The two functions of an Arduino-style program.

#ifndef TFLM_COMMON_MAIN_FUNCTIONS_H_
#define TFLM_COMMON_MAIN_FUNCTIONS_H_

// Brings up the board and the interpreter. Called once.
void setup();

// Does one piece of the program's work. Called for ever.
void loop();

#endif  // TFLM_COMMON_MAIN_FUNCTIONS_H_
