#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "tflm/host/prepared_model.h"
#include "tflm/host/run_model.h"

namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

int Fail(const std::string& subject, const std::string& problem) {
  std::fprintf(stderr, "run_model: %s: %s\n", subject.c_str(), problem.c_str());
  return 1;
}

std::optional<std::vector<uint8_t>> ReadFile(const std::string& path) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return std::nullopt;
  std::vector<uint8_t> content;
  uint8_t chunk[1 << 16];
  while (const size_t count = std::fread(chunk, 1, sizeof(chunk), file.get())) {
    content.insert(content.end(), chunk, chunk + count);
  }
  if (std::ferror(file.get())) return std::nullopt;
  return content;
}

bool WriteFile(const std::string& path, const std::vector<uint8_t>& content) {
  const std::string unfinished = path + ".new";
  std::FILE* file = std::fopen(unfinished.c_str(), "wb");
  if (file == nullptr) return false;
  const bool is_written = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  if (std::fclose(file) == 0 && is_written) {
    return std::rename(unfinished.c_str(), path.c_str()) == 0;
  }
  const int problem = errno;
  std::remove(unfinished.c_str());
  errno = problem;
  return false;
}

}  // namespace

int RunCases(const std::string& model, const std::string& cases, const std::string& outputs,
             size_t arena_bytes) {
  const auto content = ReadFile(model);
  if (!content) return Fail(model, std::strerror(errno));
  const auto given = ReadFile(cases);
  if (!given) return Fail(cases, std::strerror(errno));
  if (content->empty()) return Fail(model, "the file is empty");

  PreparedModel prepared(content->data(), content->size(), arena_bytes);
  if (const auto reason = prepared.Prepare()) return Fail(model, *reason);
  size_t case_bytes = 0;
  for (const TfLiteTensor* input : prepared.Inputs()) case_bytes += input->bytes;
  if (case_bytes == 0) return Fail(model, "the model has no inputs");
  if (given->size() % case_bytes != 0) {
    return Fail(cases, std::to_string(given->size()) + " bytes are no multiple of a case's " +
                           std::to_string(case_bytes));
  }

  std::vector<uint8_t> computed;
  for (const uint8_t* next = given->data(); next != given->data() + given->size();) {
    if (const auto reason = prepared.Reset()) return Fail(model, *reason);
    for (TfLiteTensor* input : prepared.Inputs()) {
      std::memcpy(input->data.raw, next, input->bytes);
      next += input->bytes;
    }
    if (const auto reason = prepared.Invoke()) return Fail(model, *reason);
    for (const TfLiteTensor* output : prepared.Outputs()) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(output->data.raw);
      computed.insert(computed.end(), bytes, bytes + output->bytes);
    }
  }
  if (!WriteFile(outputs, computed)) return Fail(outputs, std::strerror(errno));
  return 0;
}
