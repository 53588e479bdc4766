// What the C and C++ libraries expect of a system, for one that has no exit, no heap and no signals.

#include <cstddef>
#include <cstring>
#include <new>

#include "boards/common/board.h"

void BoardHalt() {
  BoardConsoleFlush();
  __asm volatile("cpsid i" ::: "memory");
  for (;;) __asm volatile("wfe");
}

void BoardFatal(const char* message) {
  constexpr char kPrefix[] = "error: ";
  BoardConsoleWrite(kPrefix, sizeof(kPrefix) - 1);
  BoardConsoleWrite(message, std::strlen(message));
  BoardConsoleWrite("\r\n", 2);
  BoardHalt();
}

extern "C" {

void abort() { BoardFatal("abort"); }

void __cxa_pure_virtual() { BoardFatal("pure virtual call"); }

// Code that would unwind the stack refers to it; nothing unwinds here.
void __aeabi_unwind_cpp_pr0() {}

}  // extern "C"

// Virtual destructors refer to it; nothing is ever allocated.
void operator delete(void*) noexcept { BoardFatal("operator delete"); }
void operator delete(void*, size_t) noexcept { BoardFatal("operator delete"); }
