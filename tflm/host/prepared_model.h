// A model in an interpreter of its own.

#ifndef TFLM_HOST_PREPARED_MODEL_H_
#define TFLM_HOST_PREPARED_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tflm/host/kernel_resolver.h"
#include "tflm/host/memory.h"
#include "tflm/host/messages.h"

class PreparedModel {
 public:
  // Copies the model. The arena is all zeros, as it is on the device.
  PreparedModel(const uint8_t* model, size_t size, size_t arena_bytes);

  // Fills the first bytes of the arena, where computed tensors will lie; before Prepare() only.
  void FillArena(uint8_t value, size_t bytes);

  // Returns why the library refuses the model, or nothing.
  std::optional<std::string> Prepare();

  // Gives every tensor memory of its own: constant ones a copy, variable ones what they hold, all
  // others bytes of this value. After Prepare() only.
  void Separate(uint8_t value);

  // Sets what is kept from one inference to the next to what it was at the start. Returns why it failed,
  // or nothing.
  std::optional<std::string> Reset();

  // Returns why it failed, or nothing.
  std::optional<std::string> Invoke();

  // Of the arena. After Prepare() only.
  size_t UsedBytes() const;

  std::vector<TfLiteTensor*> Inputs();
  std::vector<TfLiteTensor*> Outputs();

  // Whether the model and the copies of its constants are as they were.
  bool IsIntact() const;

 private:
  struct Constant {
    const uint8_t* copy;
    const uint8_t* original;
    size_t size;
  };

  MessageKeeper messages_;
  KernelResolver resolver_;
  Memory model_;
  size_t size_;
  uint64_t hash_;
  Memory arena_;
  size_t arena_bytes_;
  std::unique_ptr<tflite::MicroInterpreter> interpreter_;
  std::vector<Memory> tensors_;
  std::vector<Constant> constants_;
};

// 64 bits of FNV-1a, over more bytes when given the last result.
constexpr uint64_t kEmptyHash = 0xcbf29ce484222325;
uint64_t Hash(const void* data, size_t size, uint64_t hash = kEmptyHash);

#endif  // TFLM_HOST_PREPARED_MODEL_H_
