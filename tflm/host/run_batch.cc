#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "tflm/host/prepared_model.h"
#include "tflm/host/run_model.h"

namespace {

constexpr uint32_t kLargestModel = 1 << 28;
constexpr int kInferences = 2;
constexpr uint8_t kFill = 0x5a;
constexpr rlim_t kSeconds = 20;

// SplitMix64.
class Random {
 public:
  uint64_t Next() {
    uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }

 private:
  uint64_t state_ = 0;
};

// Any bytes, but for booleans, which have two values, and for floats: those are from -8 to 8,
// because converting one that an integer cannot hold is undefined and no fault of the model.
void FillInput(TfLiteTensor* input, Random* random) {
  auto* bytes = reinterpret_cast<uint8_t*>(input->data.raw);
  if (input->type == kTfLiteFloat32) {
    for (size_t i = 0; i + sizeof(float) <= input->bytes; i += sizeof(float)) {
      const auto value = static_cast<float>(random->Next() >> 40) / (1 << 20) - 8;
      std::memcpy(bytes + i, &value, sizeof(value));
    }
    return;
  }
  for (size_t i = 0; i < input->bytes; ++i) {
    const auto byte = static_cast<uint8_t>(random->Next());
    bytes[i] = input->type == kTfLiteBool ? byte & 1 : byte;
  }
}

struct Outcome {
  std::optional<std::string> refusal;
  uint64_t hash = kEmptyHash;
};

Outcome RunInferences(PreparedModel* model) {
  Outcome outcome;
  Random random;
  for (int i = 0; i < kInferences; ++i) {
    for (TfLiteTensor* input : model->Inputs()) FillInput(input, &random);
    outcome.refusal = model->Invoke();
    if (outcome.refusal) return outcome;
    for (const TfLiteTensor* output : model->Outputs()) {
      outcome.hash = Hash(output->data.raw, output->bytes, outcome.hash);
    }
  }
  return outcome;
}

std::string Refused(const std::string& reason) { return "refused " + reason; }

// The line for a model. It runs twice: with every tensor in memory of its own, where the sanitizer
// sees what goes beyond a tensor, and in an arena as on the device.
std::string LineFor(const std::vector<uint8_t>& model, size_t arena_bytes) {
  PreparedModel arena(model.data(), model.size(), arena_bytes);
  if (const auto reason = arena.Prepare()) return Refused(*reason);

  PreparedModel separate(model.data(), model.size(), arena_bytes);
  separate.FillArena(kFill, arena.UsedBytes());
  if (const auto reason = separate.Prepare()) return Refused(*reason);
  separate.Separate(kFill);

  const Outcome apart = RunInferences(&separate);
  const Outcome together = RunInferences(&arena);
  if (!separate.IsIntact() || !arena.IsIntact()) return "faulty it wrote into the model";
  if (apart.refusal != together.refusal || apart.hash != together.hash) {
    return "faulty the outputs depend on what was in memory before";
  }
  if (apart.refusal) return Refused(*apart.refusal);
  char line[32];
  std::snprintf(line, sizeof(line), "ok %016llx", static_cast<unsigned long long>(apart.hash));
  return line;
}

// What a process said on its way out: the sanitizer's verdict and the library's line it fell in.
std::string Verdict(const std::string& said) {
  std::string verdict;
  std::string place;
  for (size_t start = 0; start < said.size();) {
    const size_t end = std::min(said.find('\n', start), said.size());
    const std::string line = said.substr(start, end - start);
    start = end + 1;
    const size_t address_error = line.find("AddressSanitizer: ");
    if (verdict.empty() && line.find("runtime error: ") != std::string::npos) verdict = line;
    // Without the numbers behind it, which are others each time.
    if (verdict.empty() && address_error != std::string::npos) {
      verdict = line.substr(address_error, line.find(" on ", address_error) - address_error);
    }
    const bool is_frame = line.find("    #") == 0 && line.find(" tensorflow/") != std::string::npos;
    if (place.empty() && is_frame) place = line.substr(line.rfind(" tensorflow/") + 1);
  }
  if (verdict.empty()) verdict = said.substr(0, said.find('\n'));
  if (place.empty() || verdict.find(place) != std::string::npos) return verdict;
  return verdict + " in " + place;
}

std::string IsolatedLineFor(const std::vector<uint8_t>& model, size_t arena_bytes) {
  const int line_file = memfd_create("line", 0);
  const int said_file = memfd_create("said", 0);
  if (line_file < 0 || said_file < 0) std::abort();
  const pid_t child = fork();
  if (child < 0) std::abort();
  if (child == 0) {
    const rlimit limit{kSeconds, kSeconds};
    setrlimit(RLIMIT_CPU, &limit);
    dup2(said_file, STDERR_FILENO);
    const std::string line = LineFor(model, arena_bytes);
    const auto size = static_cast<ssize_t>(line.size());
    _exit(write(line_file, line.data(), line.size()) == size ? 0 : 1);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) std::abort();
  const bool is_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  const int file = is_well ? line_file : said_file;
  std::string text(static_cast<size_t>(lseek(file, 0, SEEK_END)), '\0');
  if (pread(file, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) std::abort();
  close(line_file);
  close(said_file);
  if (is_well) return text;
  if (!WIFSIGNALED(status)) return "crashed " + Verdict(text);
  const int signal = WTERMSIG(status);
  if (signal == SIGXCPU || signal == SIGKILL) {
    return "crashed it ran for more than " + std::to_string(kSeconds) + " s";
  }
  return "crashed signal " + std::to_string(signal) + " " + Verdict(text);
}

}  // namespace

int RunBatch(const BatchOptions& options) {
  for (;;) {
    uint8_t prefix[4];
    const size_t count = std::fread(prefix, 1, sizeof(prefix), stdin);
    if (count == 0) return 0;
    const uint32_t length = prefix[0] | prefix[1] << 8 | prefix[2] << 16 | uint32_t{prefix[3]} << 24;
    if (count != sizeof(prefix) || length == 0 || length > kLargestModel) break;
    std::vector<uint8_t> model(length);
    if (std::fread(model.data(), 1, length, stdin) != length) break;
    const std::string line = options.is_isolated ? IsolatedLineFor(model, options.arena_bytes)
                                                 : LineFor(model, options.arena_bytes);
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }
  std::fputs("run_model: the standard input is no batch of models\n", stderr);
  return 2;
}
