#include "tflm/hello_world/constants.h"

const int kInferencesPerCycle = 1000;
