// STM32F746G Discovery at register level: 216 MHz, caches, console on USART1, the green LED, display.

#include <cstddef>
#include <cstdint>

#include "boards/common/board.h"
#include "boards/stm32f746g_disco/display.h"
#include "boards/stm32f746g_disco/leds.h"
#include "boards/stm32f746g_disco/registers.h"

namespace {

using namespace stm32f746;  // NOLINT: this file is the chip's

static_assert(BOARD_CLOCK_HZ == 216000000, "RunAt216MHz() sets the clock that board.toml names");
constexpr uint32_t kHsiHz = 16000000;

bool g_console_is_up = false;

void Barrier() { __asm volatile("dsb\n isb" ::: "memory"); }

// False if the crystal does not swing within about 50 ms; 2 ms are usual.
bool StartCrystal() {
  constexpr int kLooks = 100000;  // of 8 or more cycles at 16 MHz
  rcc::CR_HSEON::Set(1);
  for (int looks = 0; looks < kLooks; ++looks) {
    if (rcc::CR_HSERDY::Read() != 0) return true;
  }
  rcc::CR_HSEON::Set(0);
  return false;
}

// In the order of the reference manual: PLL, over-drive while it locks, wait states, dividers, switch.
// No other peripheral may be clocked while over-drive comes up.
void RunAt216MHz() {
  rcc::APB1ENR_PWREN::Set(1);
  rcc::APB1ENR::Read();  // a clock takes two cycles to arrive
  pwr::CR1_VOS::Set(pwr::kScale1);
  // 25 MHz / 25 * 432 / 2. Q only has to be 2 or more.
  rcc::PLLCFGR::Write(rcc::kPllcfgrReserved | rcc::PLLCFGR_PLLM::Of(25) |
                      rcc::PLLCFGR_PLLN::Of(432) | rcc::PLLCFGR_PLLP::Of(rcc::kPllDivideBy2) |
                      rcc::PLLCFGR_PLLSRC::Of(rcc::kPllFromHse) | rcc::PLLCFGR_PLLQ::Of(9));
  rcc::CR_PLLON::Set(1);
  pwr::CR1_ODEN::Set(1);
  while (pwr::CSR1_ODRDY::Read() == 0) {
  }
  pwr::CR1_ODSWEN::Set(1);
  while (pwr::CSR1_ODSWRDY::Read() == 0) {
  }
  constexpr uint32_t kWaitStates = 7;
  flash::ACR::Write(flash::ACR_LATENCY::Of(kWaitStates) | flash::ACR_PRFTEN::Of(1) |
                    flash::ACR_ARTEN::Of(1));
  while (flash::ACR_LATENCY::Read() != kWaitStates) {
  }
  constexpr auto kDividers =
      rcc::CFGR_PPRE1::Of(rcc::kApbDivideBy4) | rcc::CFGR_PPRE2::Of(rcc::kApbDivideBy2);
  rcc::CFGR::Write(kDividers);
  while (rcc::CR_PLLRDY::Read() == 0) {
  }
  rcc::CFGR::Write(kDividers | rcc::CFGR_SW::Of(rcc::kClockIsPll));
  while (rcc::CFGR_SWS::Read() != rcc::kClockIsPll) {
  }
}

// What the display controller reads must not stay behind in the data cache. Of 256 KiB from 0x20000000
// in eighths of 32 KiB, the third to the sixth: 0x20010000 to 0x20030000.
void KeepFrameBufferOutOfTheCache() {
  using namespace cortex_m7::mpu;
  constexpr uint32_t kFirstByte = 0x20000000;
  constexpr uint32_t kLog2Size = 18;
  constexpr uint32_t kOtherEighths = 0xC3;
  RBAR::Write(RBAR_ADDR::Of(kFirstByte >> 5) | RBAR_VALID::Of(1) | RBAR_REGION::Of(0));
  RASR::Write(RASR_XN::Of(1) | RASR_AP::Of(kFullAccess) | RASR_TEX::Of(kNormalMemory) |
              RASR_SRD::Of(kOtherEighths) | RASR_SIZE::Of(kLog2Size - 1) | RASR_ENABLE::Of(1));
  CTRL::Write(CTRL_PRIVDEFENA::Of(1) | CTRL_ENABLE::Of(1));
  Barrier();
}

// Neither cache is empty after reset: what is in it must be made invalid first, in the data cache line
// by line.
void EnableCaches() {
  using namespace cortex_m7::scb;
  Barrier();
  ICIALLU::WriteWord(0);
  Barrier();
  CCR_IC::Set(1);
  Barrier();
  CSSELR::WriteWord(0);  // level 1, data
  Barrier();
  const uint32_t last_way = CCSIDR_ASSOCIATIVITY::Read();
  for (uint32_t set = CCSIDR_NUMSETS::Read() + 1; set-- != 0;) {
    for (uint32_t way = last_way + 1; way-- != 0;) {
      DCISW::Write(DCISW_SET::Of(set) | DCISW_WAY::Of(way));
    }
  }
  Barrier();
  CCR_DC::Set(1);
  Barrier();
}

void StartClocks() {
  using namespace rcc;
  constexpr auto kPorts = AHB1ENR_GPIOAEN::Of(1) | AHB1ENR_GPIOBEN::Of(1) |
                          AHB1ENR_GPIOEEN::Of(1) | AHB1ENR_GPIOGEN::Of(1) |
                          AHB1ENR_GPIOIEN::Of(1) | AHB1ENR_GPIOJEN::Of(1) |
                          AHB1ENR_GPIOKEN::Of(1) | AHB1ENR_DMA2EN::Of(1);
  AHB1ENR::Change(kPorts, kPorts);
  APB2ENR::Write(APB2ENR_TIM1EN::Of(1) | APB2ENR_USART1EN::Of(1) | APB2ENR_LTDCEN::Of(1));
  DCKCFGR2_USART1SEL::Set(kUsartFromHsi);
  APB2ENR::Read();  // the clocks have arrived after it
}

// A pin that is an output or has a function, which says what it is connected to.
struct Pin {
  gpio::PortName port;
  uint8_t number;
  uint8_t function;
};
constexpr uint8_t kGpioOutput = 0xFF;
constexpr uint8_t kUsart = 7;
constexpr uint8_t kLcd = 14;
constexpr uint8_t kLcdB4 = 9;  // on this pin, function 14 is another signal of the display
constexpr unsigned kLedPin = 1;

using gpio::A;
using gpio::B;
using gpio::E;
using gpio::G;
using gpio::I;
using gpio::J;
using gpio::K;
constexpr Pin kPins[] = {
    {A, 9, kUsart},  {B, 7, kUsart},                                                // TX, RX
    {I, kLedPin, kGpioOutput}, {I, 12, kGpioOutput}, {K, 3, kGpioOutput},           // LED, display
    {I, 14, kLcd},   {K, 7, kLcd},   {I, 10, kLcd},  {I, 9, kLcd},                  // CLK DE HS VS
    {I, 15, kLcd},   {J, 0, kLcd},   {J, 1, kLcd},   {J, 2, kLcd},                  // R0 to R3
    {J, 3, kLcd},    {J, 4, kLcd},   {J, 5, kLcd},   {J, 6, kLcd},                  // R4 to R7
    {J, 7, kLcd},    {J, 8, kLcd},   {J, 9, kLcd},   {J, 10, kLcd},                 // G0 to G3
    {J, 11, kLcd},   {K, 0, kLcd},   {K, 1, kLcd},   {K, 2, kLcd},                  // G4 to G7
    {E, 4, kLcd},    {J, 13, kLcd},  {J, 14, kLcd},  {J, 15, kLcd},                 // B0 to B3
    {G, 12, kLcdB4}, {K, 4, kLcd},   {K, 5, kLcd},   {K, 6, kLcd},                  // B4 to B7
};

void Replace(volatile uint32_t& word, unsigned shift, uint32_t mask, uint32_t value) {
  word = (word & ~(mask << shift)) | value << shift;
}

void SetUpPins() {
  for (const Pin& pin : kPins) {
    gpio::Port& port = gpio::At(pin.port);
    const bool is_output = pin.function == kGpioOutput;
    if (!is_output) {
      Replace(pin.number < 8 ? port.AFRL : port.AFRH, 4 * (pin.number % 8), 0xF, pin.function);
      Replace(port.OSPEEDR, 2 * pin.number, 3, gpio::kHighSpeed);
    }
    Replace(port.MODER, 2 * pin.number, 3, is_output ? gpio::kOutput : gpio::kAlternate);
  }
}

void StartConsole() {
  using namespace usart1;
  BRR::Write(BRR_BRR::Of((kHsiHz + BOARD_BAUD / 2) / BOARD_BAUD));
  CR1::Write(CR1_UE::Of(1) | CR1_RE::Of(1) | CR1_TE::Of(1));
  g_console_is_up = true;
}

// The LED's pin has no timer output. A timer asks the DMA controller twice in a period to write a
// word to the port: at the compare value one that sets the pin, at the end one that clears it.
namespace led {
// A count is long enough, at 16 MHz too, for a transfer to be over before the next one is asked for.
constexpr uint32_t kCountHz = 250000;
constexpr uint32_t kPeriodCounts = 250;  // 1 ms
const uint32_t kSetPin = 1u << kLedPin;
const uint32_t kClearPin = 1u << (kLedPin + 16);

template <unsigned kStream>
void Feed(const uint32_t& word) {
  using Stream = dma2::Stream<kStream>;
  Stream::NDTR::Write(Stream::NDTR_NDT::Of(1));
  Stream::PAR::WriteWord(gpio::AddressOf(I) + offsetof(gpio::Port, BSRR));
  Stream::M0AR::WriteWord(reinterpret_cast<uintptr_t>(&word));
  Stream::CR::Write(Stream::CR_CHSEL::Of(dma2::kTim1) | Stream::CR_MSIZE::Of(dma2::kWord) |
                    Stream::CR_PSIZE::Of(dma2::kWord) | Stream::CR_CIRC::Of(1) |
                    Stream::CR_DIR::Of(dma2::kMemoryToPeripheral) | Stream::CR_EN::Of(1));
}

// Lit for `on` of kPeriodCounts counts: none, where the compare value is beyond the last count; at
// most one less than all, because set and clear at the same count would race.
void Light(uint32_t on) {
  const uint32_t compare = kPeriodCounts - on;
  tim1::CCR1::Write(tim1::CCR1_CCR::Of(compare == 0 ? 1 : compare));
}

void Start(uint32_t timer_hz) {
  Feed<dma2::kCompare1Stream>(kSetPin);
  Feed<dma2::kUpdateStream>(kClearPin);
  using namespace tim1;
  PSC::Write(PSC_PSC::Of(timer_hz / kCountHz - 1));
  ARR::Write(ARR_ARR::Of(kPeriodCounts - 1));
  CCMR1::Write(CCMR1_OC1PE::Of(1));  // a new compare value waits for the next period
  Light(0);
  EGR::Write(EGR_UG::Of(1));
  DIER::Write(DIER_UDE::Of(1) | DIER_CC1DE::Of(1));
  CR1::Write(CR1_CEN::Of(1));
}
}  // namespace led

}  // namespace

void BoardInit() {
  const bool has_crystal = StartCrystal();
  if (has_crystal) RunAt216MHz();
  KeepFrameBufferOutOfTheCache();
  EnableCaches();
  StartClocks();
  SetUpPins();
  StartConsole();
  // The timer runs at twice the peripheral clock, which is half of the core's; without PLL all are one.
  led::Start(has_crystal ? BOARD_CLOCK_HZ : kHsiHz);
  DisplayInit();
  if (!has_crystal) {
    constexpr char kMessage[] = "board: the 25 MHz crystal does not start; running at 16 MHz\r\n";
    BoardConsoleWrite(kMessage, sizeof(kMessage) - 1);
  }
}

void BoardConsoleWrite(const char* text, size_t length) {
  if (!g_console_is_up) return;
  for (size_t i = 0; i < length; ++i) {
    while (usart1::ISR_TXE::Read() == 0) {
    }
    usart1::TDR::Write(usart1::TDR_TDR::Of(static_cast<uint8_t>(text[i])));
  }
}

void BoardConsoleFlush() {
  if (!g_console_is_up) return;
  while (usart1::ISR_TC::Read() == 0) {
  }
}

void BoardSetLed(unsigned led, float brightness) {
  if (led != kGreenLed) return;
  uint32_t on = 0;
  if (brightness >= 1.0f) {
    on = led::kPeriodCounts;
  } else if (brightness > 0.0f) {
    on = static_cast<uint32_t>(brightness * led::kPeriodCounts + 0.5f);
  }
  led::Light(on);
}
