#include "tflm/hello_world/main_functions.h"

int main() {
  setup();
  for (;;) loop();
}
