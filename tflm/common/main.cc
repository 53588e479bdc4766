#include "tflm/common/main_functions.h"

int main() {
  setup();
  for (;;) loop();
}
