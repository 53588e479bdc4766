// From reset to main, and what happens at a fault. Core registers: Armv7-M architecture.

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "boards/common/board.h"
#include "boards/common/mmio.h"

extern "C" {

// Made by the linker script; only their addresses mean anything.
extern uint32_t __initial_stack_pointer;
extern uint32_t __image_length;  // the address is the number of bytes
extern uint32_t __data_start;
extern uint32_t __data_end;
extern uint32_t __data_load;
struct ZeroedRange {
  uint32_t* start;
  uint32_t* end;
};
extern const ZeroedRange __zero_table_start[];
extern const ZeroedRange __zero_table_end[];
using Constructor = void (*)();
extern const Constructor __init_array_start[];
extern const Constructor __init_array_end[];

int main();
void Reset_Handler();
void Default_Handler();

}  // extern "C"

namespace {

using Vtor = mmio::Register<0xE000ED08>;
using Cpacr = mmio::Register<0xE000ED88>;
using CpacrCp10 = mmio::Field<Cpacr, 20, 2>;
using CpacrCp11 = mmio::Field<Cpacr, 22, 2>;
constexpr uint32_t kFullAccess = 3;

using Handler = void (*)();

constexpr int kSystemVectors = 16;  // the stack pointer, reset, and exceptions 2 to 15
constexpr int kInterrupts = BOARD_VECTOR_WORDS - kSystemVectors;
static_assert(kInterrupts >= 0, "the core itself has 16 vectors");

// What the image is, in the vectors 7 to 10, which the architecture reserves. Tools read it before
// they write the image to a board (toolchain/firmware/image.py).
struct ImageRecord {
  uint32_t magic;
  const void* length;
  const char* board_name;
  uint32_t reserved;
};
constexpr uint32_t kImageMagic = 0x314C4D54;  // "TML1"

struct VectorTable {
  const void* initial_stack_pointer;
  Handler reset;
  Handler faults[5];
  ImageRecord record;
  Handler supervisor_call;
  Handler debug_monitor;
  uint32_t reserved;
  Handler pending_service;
  Handler system_tick;
  Handler interrupts[kInterrupts];
};
static_assert(offsetof(VectorTable, record) == 4 * 7, "the record is in the vectors 7 to 10");
static_assert(sizeof(VectorTable) == 4 * BOARD_VECTOR_WORDS, "the table must have no padding");

constexpr VectorTable MakeVectorTable() {
  VectorTable table = {};
  table.initial_stack_pointer = &__initial_stack_pointer;
  table.reset = Reset_Handler;
  for (Handler& handler : table.faults) handler = Default_Handler;
  table.record = {kImageMagic, &__image_length, kBoardName, 0};
  table.supervisor_call = Default_Handler;
  table.debug_monitor = Default_Handler;
  table.pending_service = Default_Handler;
  table.system_tick = Default_Handler;
  for (Handler& handler : table.interrupts) handler = Default_Handler;
  return table;
}

// Nothing here enables an interrupt, so each vector but the first two is a fault.
__attribute__((section(".vectors"), used)) constexpr VectorTable kVectorTable = MakeVectorTable();

void SetVectorTable() {
  Vtor::WriteWord(reinterpret_cast<uintptr_t>(&kVectorTable));
  __asm volatile("dsb\n isb" ::: "memory");
}

// No floating-point instruction may run before this; the barriers make the next one see the change.
void EnableFpu() {
  Cpacr::Change(CpacrCp10::kMask | CpacrCp11::kMask,
                CpacrCp10::Of(kFullAccess) | CpacrCp11::Of(kFullAccess));
  __asm volatile("dsb\n isb" ::: "memory");
}

size_t BytesBetween(const uint32_t& start, const uint32_t& end) {
  return reinterpret_cast<uintptr_t>(&end) - reinterpret_cast<uintptr_t>(&start);
}

void InitialiseMemory() {
  std::memcpy(&__data_start, &__data_load, BytesBetween(__data_start, __data_end));
  for (const ZeroedRange* range = __zero_table_start; range != __zero_table_end; ++range) {
    std::memset(range->start, 0, BytesBetween(*range->start, *range->end));
  }
}

void RunConstructors() {
  for (const Constructor* constructor = __init_array_start; constructor != __init_array_end;
       ++constructor) {
    (*constructor)();
  }
}

char* AppendText(char* end, const char* text) {
  while (*text != '\0') *end++ = *text++;
  return end;
}

char* AppendHex(char* end, uint32_t value) {
  for (int shift = 28; shift >= 0; shift -= 4) *end++ = "0123456789abcdef"[(value >> shift) & 0xF];
  return end;
}

}  // namespace

extern "C" {

// The attribute keeps the compiler from using the FPU here, where it may still be off.
__attribute__((target("general-regs-only"), used, noreturn)) void StartProgram() {
  SetVectorTable();
  EnableFpu();
  InitialiseMemory();
  RunConstructors();
  main();
  BoardHalt();
}

// A bootloader may come here with a stack pointer of its own.
__attribute__((naked)) void Reset_Handler() {
  __asm volatile(
      "ldr r0, =__initial_stack_pointer\n"
      "msr msp, r0\n"
      "b StartProgram\n"
      ".ltorg\n");
}

// `frame` is the exception frame: r0 to r3, r12, lr, pc, xpsr.
__attribute__((used, noreturn)) void ReportException(uint32_t number, const uint32_t* frame) {
  char message[64];
  char* end = AppendText(message, "exception 0x");
  end = AppendHex(end, number);
  end = AppendText(end, " at 0x");
  end = AppendHex(end, frame[6]);
  *end = '\0';
  BoardFatal(message);
}

__attribute__((naked)) void Default_Handler() {
  __asm volatile(
      "mrs r0, ipsr\n"
      "mrs r1, msp\n"
      "b ReportException\n");
}

}  // extern "C"
