// The ways in which run_model runs models; each returns the program's exit code.

#ifndef TFLM_HOST_RUN_MODEL_H_
#define TFLM_HOST_RUN_MODEL_H_

#include <cstddef>
#include <string>

// Runs a model on all cases of a file, one after the other in one interpreter, and writes the
// outputs. A case is the bytes of all inputs in the model's order; outputs are written likewise.
int RunCases(const std::string& model, const std::string& cases, const std::string& outputs,
             size_t arena_bytes);

struct BatchOptions {
  size_t arena_bytes;
  // Each model in a process of its own, so that one that crashes is one line like the others.
  bool is_isolated;
};

// Runs the models of the standard input, each after its length (32 bits, little-endian), on inputs
// of its own choice, and prints a line for each:
//
//   ok HASH          the hash of the outputs
//   refused REASON   the library refused to prepare or to run it
//   faulty REASON    it ran, but wrote where it must not, or its outputs depend on what was in
//                    memory before
//   crashed REASON   with is_isolated only
int RunBatch(const BatchOptions& options);

#endif  // TFLM_HOST_RUN_MODEL_H_
