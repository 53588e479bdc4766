#include "tflm/host/prepared_model.h"

#include <algorithm>
#include <cstring>

#include "tensorflow/lite/schema/schema_generated.h"
#include "tensorflow/lite/version.h"

PreparedModel::PreparedModel(const uint8_t* model, size_t size, size_t arena_bytes)
    : model_(MakeMemory(size)),
      size_(size),
      hash_(Hash(model, size)),
      arena_(MakeMemory(arena_bytes)),
      arena_bytes_(arena_bytes) {
  std::memcpy(model_.get(), model, size);
}

void PreparedModel::FillArena(uint8_t value, size_t bytes) {
  std::memset(arena_.get(), value, std::min(bytes, arena_bytes_));
}

std::optional<std::string> PreparedModel::Prepare() {
  TakeMessages();
  const tflite::Model* model = tflite::GetModel(model_.get());
  if (model->version() != TFLITE_SCHEMA_VERSION) {
    return "the model's schema version is " + std::to_string(model->version()) +
           " and the library's " + std::to_string(TFLITE_SCHEMA_VERSION);
  }
  interpreter_ = std::make_unique<tflite::MicroInterpreter>(model, resolver_, arena_.get(),
                                                            arena_bytes_, &messages_);
  if (interpreter_->initialization_status() != kTfLiteOk ||
      interpreter_->AllocateTensors() != kTfLiteOk) {
    return "not prepared: " + TakeMessages();
  }
  for (const TfLiteTensor* input : Inputs()) {
    if (input->allocation_type == kTfLiteMmapRo) return "an input of the model is constant";
  }
  return std::nullopt;
}

void PreparedModel::Separate(uint8_t value) {
  const tflite::Model* model = tflite::GetModel(model_.get());
  const auto& described = *model->subgraphs()->Get(0)->tensors();
  for (size_t i = 0; i < interpreter_->tensors_size(); ++i) {
    TfLiteTensor* tensor = interpreter_->tensor(i);
    if (tensor->data.raw == nullptr) continue;
    const auto* bytes = reinterpret_cast<const uint8_t*>(tensor->data.raw);
    const bool is_constant = tensor->allocation_type == kTfLiteMmapRo;
    const size_t size =
        is_constant ? model->buffers()->Get(described.Get(i)->buffer())->data()->size()
                    : tensor->bytes;
    Memory own = MakeMemory(size);
    if (is_constant || tensor->is_variable) {
      std::memcpy(own.get(), bytes, size);
    } else {
      std::memset(own.get(), value, size);
    }
    if (is_constant) constants_.push_back({own.get(), bytes, size});
    tensor->data.raw = reinterpret_cast<char*>(own.get());
    tensors_.push_back(std::move(own));
  }
}

std::optional<std::string> PreparedModel::Reset() {
  if (interpreter_->ResetVariableTensors() != kTfLiteOk) return "not reset: " + TakeMessages();
  return std::nullopt;
}

std::optional<std::string> PreparedModel::Invoke() {
  if (interpreter_->Invoke() != kTfLiteOk) return "not run: " + TakeMessages();
  return std::nullopt;
}

size_t PreparedModel::UsedBytes() const {
  const size_t used = interpreter_->arena_used_bytes();
  // It tells them as messages, too.
  TakeMessages();
  return used;
}

std::vector<TfLiteTensor*> PreparedModel::Inputs() {
  std::vector<TfLiteTensor*> inputs;
  for (size_t i = 0; i < interpreter_->inputs_size(); ++i) inputs.push_back(interpreter_->input(i));
  return inputs;
}

std::vector<TfLiteTensor*> PreparedModel::Outputs() {
  std::vector<TfLiteTensor*> outputs;
  for (size_t i = 0; i < interpreter_->outputs_size(); ++i) {
    outputs.push_back(interpreter_->output(i));
  }
  return outputs;
}

bool PreparedModel::IsIntact() const {
  return Hash(model_.get(), size_) == hash_ &&
         std::all_of(constants_.begin(), constants_.end(), [](const Constant& constant) {
           return std::memcmp(constant.copy, constant.original, constant.size) == 0;
         });
}

uint64_t Hash(const void* data, size_t size, uint64_t hash) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
  return hash;
}
