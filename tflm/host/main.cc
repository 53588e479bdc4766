#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "tflm/host/run_model.h"

namespace {

// Of 64-bit pointers, more than any board has memory.
constexpr size_t kArenaBytes = size_t{16} << 20;
// The tree's allocator stands in the arena itself, and does not ask whether it fits.
constexpr size_t kSmallestArena = 1 << 10;
constexpr size_t kLargestArena = size_t{1} << 30;

constexpr char kUsage[] =
    "usage: run_model MODEL.tflite INPUTS OUTPUTS [--arena BYTES]\n"
    "       run_model --batch [--isolate] [--arena BYTES] < MODELS\n";

int Usage() {
  std::fputs(kUsage, stderr);
  return 2;
}

std::optional<size_t> ParseArena(const char* text) {
  char* end = nullptr;
  const unsigned long long bytes = std::strtoull(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0') return std::nullopt;
  if (bytes < kSmallestArena || bytes > kLargestArena) return std::nullopt;
  return bytes;
}

}  // namespace

#ifdef __SANITIZE_ADDRESS__
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "exitcode=99:handle_abort=1:detect_leaks=0:detect_stack_use_after_return=1";
}
extern "C" const char* __ubsan_default_options();
extern "C" const char* __ubsan_default_options() { return "exitcode=99:print_stacktrace=1"; }
#endif

int main(int count, char** arguments) {
  // The boards' functions of float are compiled with it.
  if (!__builtin_cpu_supports("fma")) {
    std::fputs("run_model: this processor has no fused multiply-add\n", stderr);
    return 2;
  }
  std::vector<std::string> files;
  BatchOptions options{kArenaBytes, false};
  bool is_batch = false;
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--batch") {
      is_batch = true;
    } else if (argument == "--isolate") {
      options.is_isolated = true;
    } else if (argument == "--arena") {
      const auto bytes = i + 1 < count ? ParseArena(arguments[++i]) : std::nullopt;
      if (!bytes) {
        std::fprintf(stderr, "run_model: --arena takes a number of bytes from %zu to %zu\n",
                     kSmallestArena, kLargestArena);
        return 2;
      }
      options.arena_bytes = *bytes;
    } else if (argument.rfind("--", 0) == 0) {
      return Usage();
    } else {
      files.push_back(argument);
    }
  }
  if (is_batch) return files.empty() ? RunBatch(options) : Usage();
  if (files.size() != 3 || options.is_isolated) return Usage();
  return RunCases(files[0], files[1], files[2], options.arena_bytes);
}
