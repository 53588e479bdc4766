// Memory-mapped registers as types: the fields of one register cannot be written to another.

#ifndef BOARDS_COMMON_MMIO_H_
#define BOARDS_COMMON_MMIO_H_

#include <cstdint>

namespace mmio {

// A value for the register `Register`, made of its fields.
template <typename Register>
struct Value {
  uint32_t bits;

  friend constexpr Value operator|(Value a, Value b) { return Value{a.bits | b.bits}; }
};

// A 32-bit register at `kAddress`.
template <uint32_t kAddress>
struct Register {
  using Bits = Value<Register>;
  static constexpr uint32_t kAddressOf = kAddress;

  static uint32_t Read() { return *Pointer(); }
  static void Write(Bits value) { *Pointer() = value.bits; }
  static void WriteWord(uint32_t word) { *Pointer() = word; }
  // Read-modify-write: the bits of `mask` become those of `value`.
  static void Change(Bits mask, Bits value) { *Pointer() = (*Pointer() & ~mask.bits) | value.bits; }

 private:
  static volatile uint32_t* Pointer() { return reinterpret_cast<volatile uint32_t*>(kAddress); }
};

// `kWidth` bits of `R`, from bit `kLowest` up.
template <typename R, unsigned kLowest, unsigned kWidth = 1>
struct Field {
  static_assert(kWidth >= 1 && kLowest + kWidth <= 32, "the field leaves the register");
  static constexpr uint32_t kUnshiftedMask = 0xFFFFFFFFu >> (32 - kWidth);
  static constexpr typename R::Bits kMask = {kUnshiftedMask << kLowest};

  // The field's part of a register value; `value` must fit.
  static constexpr typename R::Bits Of(uint32_t value) {
    return {(value & kUnshiftedMask) << kLowest};
  }
  static uint32_t Read() { return (R::Read() >> kLowest) & kUnshiftedMask; }
  // Changes this field alone.
  static void Set(uint32_t value) { R::Change(kMask, Of(value)); }
};

}  // namespace mmio

#endif  // BOARDS_COMMON_MMIO_H_
