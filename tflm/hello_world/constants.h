// Constants of the demonstration.

#ifndef TFLM_HELLO_WORLD_CONSTANTS_H_
#define TFLM_HELLO_WORLD_CONSTANTS_H_

// The range of x, one period of the sine.
constexpr float kXrange = 2.f * 3.14159265359f;

// Inferences over this range. How smooth and how slow the output is depends on the device, so a
// board may define its own in boards/<name>/constants.cc.
extern const int kInferencesPerCycle;

#endif  // TFLM_HELLO_WORLD_CONSTANTS_H_
