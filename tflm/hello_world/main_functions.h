// The two functions of an Arduino-style program.

#ifndef TFLM_HELLO_WORLD_MAIN_FUNCTIONS_H_
#define TFLM_HELLO_WORLD_MAIN_FUNCTIONS_H_

// Brings up the board and the interpreter. Called once.
void setup();

// Runs one inference and shows its result. Called for ever.
void loop();

#endif  // TFLM_HELLO_WORLD_MAIN_FUNCTIONS_H_
