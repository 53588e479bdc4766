// Apollo3 registers that this board uses, with the names of the vendor's SVD. README.md has the sources.

#ifndef BOARDS_SPARKFUN_EDGE_REGISTERS_H_
#define BOARDS_SPARKFUN_EDGE_REGISTERS_H_

#include <cstdint>

#include "boards/common/mmio.h"

namespace apollo3 {

using mmio::Field;
using mmio::Register;

namespace clkgen {
constexpr uint32_t kBase = 0x40004000;
using CLKKEY = Register<kBase + 0x14>;
using CLKKEY_CLKKEY = Field<CLKKEY, 0, 32>;
constexpr uint32_t kKey = 0x47;
using CCTRL = Register<kBase + 0x18>;
using CCTRL_CORESEL = Field<CCTRL, 0>;
constexpr uint32_t kHfrc = 0;  // 48 MHz; 1 is half of it
}  // namespace clkgen

namespace cachectrl {
constexpr uint32_t kBase = 0x40018000;
using CACHECFG = Register<kBase + 0x00>;
using CACHECFG_ENABLE = Field<CACHECFG, 0>;
using CACHECFG_LRU = Field<CACHECFG, 1>;
using CACHECFG_CONFIG = Field<CACHECFG, 4, 4>;
using CACHECFG_ICACHE_ENABLE = Field<CACHECFG, 8>;
using CACHECFG_DCACHE_ENABLE = Field<CACHECFG, 9>;
using CACHECFG_CACHE_CLKGATE = Field<CACHECFG, 10>;
using CACHECFG_CACHE_LS = Field<CACHECFG, 11>;
using CACHECFG_DATA_CLKGATE = Field<CACHECFG, 20>;
constexpr uint32_t kOneWay1024Entries = 8;
}  // namespace cachectrl

namespace pwrctrl {
constexpr uint32_t kBase = 0x40021000;
using DEVPWREN = Register<kBase + 0x08>;
using DEVPWREN_PWRUART0 = Field<DEVPWREN, 7>;
using DEVPWRSTATUS = Register<kBase + 0x18>;
using DEVPWRSTATUS_HCPA = Field<DEVPWRSTATUS, 2>;  // the power domain of the UARTs
}  // namespace pwrctrl

namespace gpio {
constexpr uint32_t kBase = 0x40010000;
using PADKEY = Register<kBase + 0x60>;
using PADKEY_PADKEY = Field<PADKEY, 0, 32>;
constexpr uint32_t kKey = 0x73;
using CTENCFG = Register<kBase + 0x118>;  // one bit per CT output, 0 = on

// Function 3 is GPIO on every pad; the others differ from pad to pad.
// Layouts are regular: PADREGx and ALTPADCFGx hold four pads each, CFGx eight.
template <unsigned kPad>
struct Pad {
  static_assert(kPad < 50, "the chip has pads 0 to 49");

  using PADREG = Register<kBase + (kPad & ~3u)>;
  static constexpr unsigned kByte = 8 * (kPad & 3u);
  using PULL = Field<PADREG, kByte + 0>;
  using INPEN = Field<PADREG, kByte + 1>;
  using STRNG = Field<PADREG, kByte + 2>;
  using FNCSEL = Field<PADREG, kByte + 3, 3>;
  using All = Field<PADREG, kByte, 8>;

  using CFG = Register<kBase + 0x40 + 4 * (kPad / 8)>;
  using OUTCFG = Field<CFG, 4 * (kPad % 8) + 1, 2>;

  using ALTPADCFG = Register<kBase + 0xE0 + (kPad & ~3u)>;
  using DS1 = Field<ALTPADCFG, kByte>;  // high bit of the drive strength; STRNG is the low one
};
constexpr uint32_t kPushPull = 1;

// Output of a counter/timer in CTENCFG.
template <unsigned kOutput>
using CtOutputDisable = Field<CTENCFG, kOutput>;
}  // namespace gpio

namespace ctimer {
constexpr uint32_t kBase = 0x40008000;
using GLOBEN = Register<kBase + 0x100>;
using OUTCFG2 = Register<kBase + 0x10C>;  // sources of the outputs CT20 to CT29

enum class Half { kA, kB };

template <unsigned kTimer, Half kHalf>
struct Timer {
  static_assert(kTimer < 8, "the chip has timers 0 to 7");
  static constexpr uint32_t kTimerBase = kBase + 0x20 * kTimer;
  static constexpr unsigned kShift = kHalf == Half::kA ? 0 : 16;

  using CMPR = Register<kTimerBase + (kHalf == Half::kA ? 0x04 : 0x08)>;
  using CMPR0 = Field<CMPR, 0, 16>;
  using CMPR1 = Field<CMPR, 16, 16>;

  using CTRL = Register<kTimerBase + 0x0C>;
  using EN = Field<CTRL, kShift + 0>;
  using CLK = Field<CTRL, kShift + 1, 5>;
  using FN = Field<CTRL, kShift + 6, 3>;
  using IE0 = Field<CTRL, kShift + 9>;
  using IE1 = Field<CTRL, kShift + 10>;
  using CLR = Field<CTRL, kShift + 11>;
  using POL = Field<CTRL, kShift + 12>;
  using WholeHalf = Field<CTRL, kShift, 13>;

  using GlobalEnable = Field<GLOBEN, 2 * kTimer + (kHalf == Half::kA ? 0 : 1)>;
};
constexpr uint32_t kHfrcDiv4 = 1;  // 12 MHz
constexpr uint32_t kRepeatedPwm = 3;

// Source of the output CT<kOutput>. Three bits each, five in each half-word.
template <unsigned kOutput>
struct OutputSource {
  static_assert(kOutput >= 20 && kOutput < 30, "OUTCFG2 holds the outputs 20 to 29");
  static constexpr unsigned kIndex = kOutput - 20;
  using Select = Field<OUTCFG2, 16 * (kIndex / 5) + 3 * (kIndex % 5), 3>;
};
constexpr uint32_t kForceLow = 0;
constexpr uint32_t kForceHigh = 1;
}  // namespace ctimer

namespace uart0 {
constexpr uint32_t kBase = 0x4001C000;
using DR = Register<kBase + 0x00>;
using DR_DATA = Field<DR, 0, 8>;
using FR = Register<kBase + 0x18>;
using FR_BUSY = Field<FR, 3>;
using FR_TXFF = Field<FR, 5>;
using IBRD = Register<kBase + 0x24>;
using IBRD_DIVINT = Field<IBRD, 0, 16>;
using FBRD = Register<kBase + 0x28>;
using FBRD_DIVFRAC = Field<FBRD, 0, 6>;
using LCRH = Register<kBase + 0x2C>;
using LCRH_FEN = Field<LCRH, 4>;
using LCRH_WLEN = Field<LCRH, 5, 2>;
constexpr uint32_t kEightBits = 3;
using CR = Register<kBase + 0x30>;
using CR_UARTEN = Field<CR, 0>;
using CR_CLKEN = Field<CR, 3>;
using CR_CLKSEL = Field<CR, 4, 3>;
constexpr uint32_t kClock24MHz = 1;
using CR_TXE = Field<CR, 8>;
using CR_RXE = Field<CR, 9>;
}  // namespace uart0

}  // namespace apollo3

#endif  // BOARDS_SPARKFUN_EDGE_REGISTERS_H_
