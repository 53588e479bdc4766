// Memory of exactly the size asked for, so that the address sanitizer sees what goes beyond it.

#ifndef TFLM_HOST_MEMORY_H_
#define TFLM_HOST_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

using Memory = std::unique_ptr<uint8_t[], Free>;

// Returns zeros, aligned to 16 bytes as models and arenas are on the device. Nothing is behind them
// until they are touched.
inline Memory MakeMemory(size_t size) {
  Memory memory(static_cast<uint8_t*>(std::calloc(1, size)));
  if (memory == nullptr || reinterpret_cast<uintptr_t>(memory.get()) % 16 != 0) std::abort();
  return memory;
}

#endif  // TFLM_HOST_MEMORY_H_
