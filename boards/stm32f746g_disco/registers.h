// STM32F746 registers that this board uses, with the names of the vendor's SVD. README.md has the sources.

#ifndef BOARDS_STM32F746G_DISCO_REGISTERS_H_
#define BOARDS_STM32F746G_DISCO_REGISTERS_H_

#include <cstddef>
#include <cstdint>

#include "boards/common/mmio.h"

namespace stm32f746 {

using mmio::Field;
using mmio::Register;

namespace rcc {
constexpr uint32_t kBase = 0x40023800;
using CR = Register<kBase + 0x00>;
using CR_HSEON = Field<CR, 16>;
using CR_HSERDY = Field<CR, 17>;
using CR_PLLON = Field<CR, 24>;
using CR_PLLRDY = Field<CR, 25>;
using CR_PLLSAION = Field<CR, 28>;
using CR_PLLSAIRDY = Field<CR, 29>;
using PLLCFGR = Register<kBase + 0x04>;
using PLLCFGR_PLLM = Field<PLLCFGR, 0, 6>;
using PLLCFGR_PLLN = Field<PLLCFGR, 6, 9>;
using PLLCFGR_PLLP = Field<PLLCFGR, 16, 2>;
using PLLCFGR_PLLSRC = Field<PLLCFGR, 22>;
using PLLCFGR_PLLQ = Field<PLLCFGR, 24, 4>;
constexpr uint32_t kPllDivideBy2 = 0;
constexpr uint32_t kPllFromHse = 1;
constexpr PLLCFGR::Bits kPllcfgrReserved = {1u << 29};  // 1 after reset, and must stay
using CFGR = Register<kBase + 0x08>;
using CFGR_SW = Field<CFGR, 0, 2>;
using CFGR_SWS = Field<CFGR, 2, 2>;
using CFGR_PPRE1 = Field<CFGR, 10, 3>;
using CFGR_PPRE2 = Field<CFGR, 13, 3>;
constexpr uint32_t kApbDivideBy2 = 4;
constexpr uint32_t kApbDivideBy4 = 5;
constexpr uint32_t kClockIsPll = 2;
using AHB1ENR = Register<kBase + 0x30>;
using AHB1ENR_GPIOAEN = Field<AHB1ENR, 0>;
using AHB1ENR_GPIOBEN = Field<AHB1ENR, 1>;
using AHB1ENR_GPIOEEN = Field<AHB1ENR, 4>;
using AHB1ENR_GPIOGEN = Field<AHB1ENR, 6>;
using AHB1ENR_GPIOIEN = Field<AHB1ENR, 8>;
using AHB1ENR_GPIOJEN = Field<AHB1ENR, 9>;
using AHB1ENR_GPIOKEN = Field<AHB1ENR, 10>;
using AHB1ENR_DMA2EN = Field<AHB1ENR, 22>;
using APB1ENR = Register<kBase + 0x40>;
using APB1ENR_PWREN = Field<APB1ENR, 28>;
using APB2ENR = Register<kBase + 0x44>;
using APB2ENR_TIM1EN = Field<APB2ENR, 0>;
using APB2ENR_USART1EN = Field<APB2ENR, 4>;
using APB2ENR_LTDCEN = Field<APB2ENR, 26>;
using PLLSAICFGR = Register<kBase + 0x88>;
using PLLSAICFGR_PLLSAIN = Field<PLLSAICFGR, 6, 9>;
using PLLSAICFGR_PLLSAIQ = Field<PLLSAICFGR, 24, 4>;
using PLLSAICFGR_PLLSAIR = Field<PLLSAICFGR, 28, 3>;
using DCKCFGR1 = Register<kBase + 0x8C>;
using DCKCFGR1_PLLSAIDIVR = Field<DCKCFGR1, 16, 2>;
constexpr uint32_t kLcdDivideBy4 = 1;
using DCKCFGR2 = Register<kBase + 0x90>;
using DCKCFGR2_USART1SEL = Field<DCKCFGR2, 0, 2>;
constexpr uint32_t kUsartFromHsi = 2;
}  // namespace rcc

namespace flash {
constexpr uint32_t kBase = 0x40023C00;
using ACR = Register<kBase + 0x00>;
using ACR_LATENCY = Field<ACR, 0, 4>;
using ACR_PRFTEN = Field<ACR, 8>;
using ACR_ARTEN = Field<ACR, 9>;
}  // namespace flash

namespace pwr {
constexpr uint32_t kBase = 0x40007000;
using CR1 = Register<kBase + 0x00>;
using CR1_VOS = Field<CR1, 14, 2>;
using CR1_ODEN = Field<CR1, 16>;
using CR1_ODSWEN = Field<CR1, 17>;
constexpr uint32_t kScale1 = 3;
using CSR1 = Register<kBase + 0x04>;
using CSR1_ODRDY = Field<CSR1, 16>;
using CSR1_ODSWRDY = Field<CSR1, 17>;
}  // namespace pwr

namespace gpio {
constexpr uint32_t kBase = 0x40020000;
constexpr uint32_t kStride = 0x400;  // from port A to port B, and so on

// A port's registers in memory: pins are set up in a loop over ports that a table names.
struct Port {
  volatile uint32_t MODER;    // 2 bits a pin
  volatile uint32_t OTYPER;   // 1 bit a pin
  volatile uint32_t OSPEEDR;  // 2 bits a pin
  volatile uint32_t PUPDR;    // 2 bits a pin
  volatile uint32_t IDR;      // 1 bit a pin
  volatile uint32_t ODR;      // 1 bit a pin
  volatile uint32_t BSRR;     // 1 bit a pin: sets; from bit 16 on: clears
  volatile uint32_t LCKR;     // 1 bit a pin
  volatile uint32_t AFRL;     // 4 bits a pin, pins 0 to 7
  volatile uint32_t AFRH;     // 4 bits a pin, pins 8 to 15
};
static_assert(offsetof(Port, AFRH) == 0x24, "the registers follow one another");

enum PortName : uint8_t { A, B, C, D, E, F, G, H, I, J, K };
constexpr uint32_t kOutput = 1;
constexpr uint32_t kAlternate = 2;
constexpr uint32_t kHighSpeed = 2;

constexpr uint32_t AddressOf(PortName port) { return kBase + kStride * port; }
inline Port& At(PortName port) { return *reinterpret_cast<Port*>(AddressOf(port)); }
}  // namespace gpio

namespace usart1 {
constexpr uint32_t kBase = 0x40011000;
using CR1 = Register<kBase + 0x00>;
using CR1_UE = Field<CR1, 0>;
using CR1_RE = Field<CR1, 2>;
using CR1_TE = Field<CR1, 3>;
using BRR = Register<kBase + 0x0C>;
using BRR_BRR = Field<BRR, 0, 16>;  // the whole divisor, where OVER8 is 0
using ISR = Register<kBase + 0x1C>;
using ISR_TC = Field<ISR, 6>;
using ISR_TXE = Field<ISR, 7>;
using TDR = Register<kBase + 0x28>;
using TDR_TDR = Field<TDR, 0, 9>;
}  // namespace usart1

namespace tim1 {
constexpr uint32_t kBase = 0x40010000;
using CR1 = Register<kBase + 0x00>;
using CR1_CEN = Field<CR1, 0>;
using DIER = Register<kBase + 0x0C>;
using DIER_UDE = Field<DIER, 8>;
using DIER_CC1DE = Field<DIER, 9>;
using EGR = Register<kBase + 0x14>;
using EGR_UG = Field<EGR, 0>;
using CCMR1 = Register<kBase + 0x18>;
using CCMR1_OC1PE = Field<CCMR1, 3>;
using PSC = Register<kBase + 0x28>;
using PSC_PSC = Field<PSC, 0, 16>;
using ARR = Register<kBase + 0x2C>;
using ARR_ARR = Field<ARR, 0, 16>;
using CCR1 = Register<kBase + 0x34>;
using CCR1_CCR = Field<CCR1, 0, 16>;
}  // namespace tim1

namespace dma2 {
constexpr uint32_t kBase = 0x40026400;

template <unsigned kStream>
struct Stream {
  static_assert(kStream < 8, "the controller has streams 0 to 7");
  static constexpr uint32_t kStreamBase = kBase + 0x10 + 0x18 * kStream;
  using CR = Register<kStreamBase + 0x00>;
  using CR_EN = Field<CR, 0>;
  using CR_DIR = Field<CR, 6, 2>;
  using CR_CIRC = Field<CR, 8>;
  using CR_PSIZE = Field<CR, 11, 2>;
  using CR_MSIZE = Field<CR, 13, 2>;
  using CR_CHSEL = Field<CR, 25, 3>;
  using NDTR = Register<kStreamBase + 0x04>;
  using NDTR_NDT = Field<NDTR, 0, 16>;
  using PAR = Register<kStreamBase + 0x08>;
  using M0AR = Register<kStreamBase + 0x0C>;
};
constexpr uint32_t kMemoryToPeripheral = 1;
constexpr uint32_t kWord = 2;
// Requests of TIM1: channel 6; its compare 1 is on stream 1, its update on stream 5.
constexpr uint32_t kTim1 = 6;
constexpr unsigned kCompare1Stream = 1;
constexpr unsigned kUpdateStream = 5;
}  // namespace dma2

namespace ltdc {
constexpr uint32_t kBase = 0x40016800;
using SSCR = Register<kBase + 0x08>;
using SSCR_VSH = Field<SSCR, 0, 11>;
using SSCR_HSW = Field<SSCR, 16, 12>;
using BPCR = Register<kBase + 0x0C>;
using BPCR_AVBP = Field<BPCR, 0, 11>;
using BPCR_AHBP = Field<BPCR, 16, 12>;
using AWCR = Register<kBase + 0x10>;
using AWCR_AAH = Field<AWCR, 0, 11>;
using AWCR_AAW = Field<AWCR, 16, 12>;
using TWCR = Register<kBase + 0x14>;
using TWCR_TOTALH = Field<TWCR, 0, 11>;
using TWCR_TOTALW = Field<TWCR, 16, 12>;
using GCR = Register<kBase + 0x18>;
using GCR_LTDCEN = Field<GCR, 0>;
using SRCR = Register<kBase + 0x24>;
using SRCR_IMR = Field<SRCR, 0>;

// Layer 1. The controller takes these values over when SRCR is written.
namespace layer1 {
constexpr uint32_t kBase = 0x40016884;
using CR = Register<kBase + 0x00>;
using CR_LEN = Field<CR, 0>;
using CR_CLUTEN = Field<CR, 4>;
using WHPCR = Register<kBase + 0x04>;
using WHPCR_WHSTPOS = Field<WHPCR, 0, 12>;
using WHPCR_WHSPPOS = Field<WHPCR, 16, 12>;
using WVPCR = Register<kBase + 0x08>;
using WVPCR_WVSTPOS = Field<WVPCR, 0, 11>;
using WVPCR_WVSPPOS = Field<WVPCR, 16, 11>;
using PFCR = Register<kBase + 0x10>;
using PFCR_PF = Field<PFCR, 0, 3>;
constexpr uint32_t kL8 = 5;  // a byte a pixel, an index of the colour table
using CACR = Register<kBase + 0x14>;
using CACR_CONSTA = Field<CACR, 0, 8>;
using CFBAR = Register<kBase + 0x28>;
using CFBLR = Register<kBase + 0x2C>;
using CFBLR_CFBLL = Field<CFBLR, 0, 13>;
using CFBLR_CFBP = Field<CFBLR, 16, 13>;
using CFBLNR = Register<kBase + 0x30>;
using CFBLNR_CFBLNBR = Field<CFBLNR, 0, 11>;
using CLUTWR = Register<kBase + 0x40>;
using CLUTWR_BLUE = Field<CLUTWR, 0, 8>;
using CLUTWR_GREEN = Field<CLUTWR, 8, 8>;
using CLUTWR_RED = Field<CLUTWR, 16, 8>;
using CLUTWR_CLUTADD = Field<CLUTWR, 24, 8>;
}  // namespace layer1
}  // namespace ltdc

}  // namespace stm32f746

// The core's own: Armv7-M, Cortex-M7.
namespace cortex_m7 {

using mmio::Field;
using mmio::Register;

namespace scb {
constexpr uint32_t kBase = 0xE000E000;
using CCR = Register<kBase + 0xD14>;
using CCR_DC = Field<CCR, 16>;
using CCR_IC = Field<CCR, 17>;
using CCSIDR = Register<kBase + 0xD80>;
using CCSIDR_ASSOCIATIVITY = Field<CCSIDR, 3, 10>;
using CCSIDR_NUMSETS = Field<CCSIDR, 13, 15>;
using CSSELR = Register<kBase + 0xD84>;
using ICIALLU = Register<kBase + 0xF50>;
using DCISW = Register<kBase + 0xF60>;
using DCISW_SET = Field<DCISW, 5, 9>;
using DCISW_WAY = Field<DCISW, 30, 2>;
}  // namespace scb

namespace mpu {
constexpr uint32_t kBase = 0xE000ED90;
using CTRL = Register<kBase + 0x04>;
using CTRL_ENABLE = Field<CTRL, 0>;
using CTRL_PRIVDEFENA = Field<CTRL, 2>;
using RBAR = Register<kBase + 0x0C>;
using RBAR_REGION = Field<RBAR, 0, 4>;
using RBAR_VALID = Field<RBAR, 4>;
using RBAR_ADDR = Field<RBAR, 5, 27>;
using RASR = Register<kBase + 0x10>;
using RASR_ENABLE = Field<RASR, 0>;
using RASR_SIZE = Field<RASR, 1, 5>;
using RASR_SRD = Field<RASR, 8, 8>;
using RASR_TEX = Field<RASR, 19, 3>;
using RASR_AP = Field<RASR, 24, 3>;
using RASR_XN = Field<RASR, 28>;
constexpr uint32_t kFullAccess = 3;
constexpr uint32_t kNormalMemory = 1;  // with C and B clear: not cached
}  // namespace mpu

}  // namespace cortex_m7

#endif  // BOARDS_STM32F746G_DISCO_REGISTERS_H_
