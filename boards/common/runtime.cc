// What the C and C++ libraries expect of a system, for one that has no exit, no heap and no signals.

#include <cstddef>
#include <cstring>
#include <new>

#include "boards/common/board.h"

namespace {

void Write(const char* text) { BoardConsoleWrite(text, std::strlen(text)); }

[[noreturn]] void HaltAfter(const char* last_words) {
  Write(last_words);
  Write("\r\n");
  BoardHalt();
}

}  // namespace

void BoardHalt() {
  BoardConsoleFlush();
  __asm volatile("cpsid i" ::: "memory");
  for (;;) __asm volatile("wfe");
}

void BoardFatal(const char* message) {
  Write("error: ");
  HaltAfter(message);
}

extern "C" {

void abort() { BoardFatal("abort"); }

// The C library's own would link its formatted output and, with that, a heap.
void __assert_func(const char* file, int, const char*, const char* expression) {
  Write("error: ");
  Write(file);
  Write(": assertion failed: ");
  HaltAfter(expression);
}

void __cxa_pure_virtual() { BoardFatal("pure virtual call"); }

// Code that would unwind the stack refers to it; nothing unwinds here.
void __aeabi_unwind_cpp_pr0() {}

}  // extern "C"

// Virtual destructors refer to it; nothing is ever allocated.
void operator delete(void*) noexcept { BoardFatal("operator delete"); }
void operator delete(void*, size_t) noexcept { BoardFatal("operator delete"); }
