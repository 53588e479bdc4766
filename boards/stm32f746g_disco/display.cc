// Panel RK043FN48H on the LTDC: one layer, a byte a pixel through the colour table, in on-chip RAM.

#include "boards/stm32f746g_disco/display.h"

#include <cstdint>
#include <cstring>

#include "boards/stm32f746g_disco/registers.h"

namespace {

using namespace stm32f746;  // NOLINT: this file is the chip's

enum Colour : uint8_t { kGround, kDot };

// board.toml places it in RAM that the LTDC can read. All zeros: all ground.
alignas(64) __attribute__((section(".bss.framebuffer"))) uint8_t
    g_frame_buffer[kDisplayHeight][kDisplayWidth];

int g_dot_x = kDisplayWidth / 2;
int g_dot_y = kDisplayHeight / 2;

// The panel's timing, in pixel clocks and lines; board.toml has the same for the simulator.
struct Timing {
  uint32_t sync;
  uint32_t back_porch;
  uint32_t visible;
  uint32_t front_porch;

  // The registers hold sums from the start of the pulse, less 1.
  constexpr uint32_t SyncEnd() const { return sync - 1; }
  constexpr uint32_t BackPorchEnd() const { return SyncEnd() + back_porch; }
  constexpr uint32_t VisibleEnd() const { return BackPorchEnd() + visible; }
  constexpr uint32_t Total() const { return VisibleEnd() + front_porch; }
};
constexpr Timing kHorizontal = {41, 13, kDisplayWidth, 32};
constexpr Timing kVertical = {10, 2, kDisplayHeight, 2};

void StartPixelClock() {
  // Both clock sources are divided to 1 MHz before the PLLs; 192 MHz / 5 / 4 = 9.6 MHz.
  rcc::PLLSAICFGR::Write(rcc::PLLSAICFGR_PLLSAIN::Of(192) | rcc::PLLSAICFGR_PLLSAIQ::Of(4) |
                         rcc::PLLSAICFGR_PLLSAIR::Of(5));
  rcc::DCKCFGR1_PLLSAIDIVR::Set(rcc::kLcdDivideBy4);
  rcc::CR_PLLSAION::Set(1);
  while (rcc::CR_PLLSAIRDY::Read() == 0) {
  }
}

void SetColour(Colour index, uint32_t rgb) {
  using namespace ltdc::layer1;
  CLUTWR::Write(CLUTWR_CLUTADD::Of(index) | CLUTWR_RED::Of(rgb >> 16) |
                CLUTWR_GREEN::Of(rgb >> 8) | CLUTWR_BLUE::Of(rgb));
}

void Fill(int centre_x, int centre_y, Colour colour) {
  for (int y = -kDotRadius; y <= kDotRadius; ++y) {
    int half = kDotRadius;
    while (half * half + y * y > kDotRadius * kDotRadius) --half;
    std::memset(&g_frame_buffer[centre_y + y][centre_x - half], colour, 2 * half + 1);
  }
}

int Clamp(int value, int size) {
  if (value < kDotRadius) return kDotRadius;
  const int last = size - 1 - kDotRadius;
  return value > last ? last : value;
}

}  // namespace

void DisplayInit() {
  StartPixelClock();
  {
    using namespace ltdc;
    SSCR::Write(SSCR_HSW::Of(kHorizontal.SyncEnd()) | SSCR_VSH::Of(kVertical.SyncEnd()));
    BPCR::Write(BPCR_AHBP::Of(kHorizontal.BackPorchEnd()) | BPCR_AVBP::Of(kVertical.BackPorchEnd()));
    AWCR::Write(AWCR_AAW::Of(kHorizontal.VisibleEnd()) | AWCR_AAH::Of(kVertical.VisibleEnd()));
    TWCR::Write(TWCR_TOTALW::Of(kHorizontal.Total()) | TWCR_TOTALH::Of(kVertical.Total()));
  }
  {
    using namespace ltdc::layer1;
    WHPCR::Write(WHPCR_WHSTPOS::Of(kHorizontal.BackPorchEnd() + 1) |
                 WHPCR_WHSPPOS::Of(kHorizontal.VisibleEnd()));
    WVPCR::Write(WVPCR_WVSTPOS::Of(kVertical.BackPorchEnd() + 1) |
                 WVPCR_WVSPPOS::Of(kVertical.VisibleEnd()));
    PFCR::Write(PFCR_PF::Of(kL8));
    CACR::Write(CACR_CONSTA::Of(0xFF));  // opaque
    CFBAR::WriteWord(reinterpret_cast<uintptr_t>(g_frame_buffer));
    // The length of a line is 3 more than its bytes.
    CFBLR::Write(CFBLR_CFBP::Of(kDisplayWidth) | CFBLR_CFBLL::Of(kDisplayWidth + 3));
    CFBLNR::Write(CFBLNR_CFBLNBR::Of(kDisplayHeight));
    SetColour(kGround, 0xF4B400);
    SetColour(kDot, 0xDB4437);
    CR::Write(CR_LEN::Of(1) | CR_CLUTEN::Of(1));
  }
  ltdc::SRCR::Write(ltdc::SRCR_IMR::Of(1));
  ltdc::GCR_LTDCEN::Set(1);
  gpio::At(gpio::I).BSRR = 1u << 12;  // the panel itself
  gpio::At(gpio::K).BSRR = 1u << 3;   // its backlight
}

void DisplayDot(int x, int y) {
  Fill(g_dot_x, g_dot_y, kGround);
  g_dot_x = Clamp(x, kDisplayWidth);
  g_dot_y = Clamp(y, kDisplayHeight);
  Fill(g_dot_x, g_dot_y, kDot);
}
