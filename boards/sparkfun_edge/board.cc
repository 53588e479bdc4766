// SparkFun Edge at register level: 48 MHz, cache, console on UART0, four LEDs on timer outputs.

#include <cstddef>
#include <cstdint>

#include "boards/common/board.h"
#include "boards/sparkfun_edge/leds.h"
#include "boards/sparkfun_edge/registers.h"

namespace {

using namespace apollo3;  // NOLINT: this file is the chip's

static_assert(BOARD_CLOCK_HZ == 48000000, "RunAt48MHz() sets the clock that board.toml names");

bool g_console_is_up = false;

void RunAt48MHz() {
  clkgen::CLKKEY::Write(clkgen::CLKKEY_CLKKEY::Of(clkgen::kKey));
  clkgen::CCTRL::Write(clkgen::CCTRL_CORESEL::Of(clkgen::kHfrc));
  clkgen::CLKKEY::Write(clkgen::CLKKEY_CLKKEY::Of(0));
}

void EnableCache() {
  using namespace cachectrl;
  // The configuration may change only while the cache is off.
  constexpr CACHECFG::Bits kConfiguration =
      CACHECFG_CONFIG::Of(kOneWay1024Entries) | CACHECFG_ICACHE_ENABLE::Of(1) |
      CACHECFG_DCACHE_ENABLE::Of(1) | CACHECFG_CACHE_CLKGATE::Of(1) | CACHECFG_DATA_CLKGATE::Of(1);
  CACHECFG::Write(kConfiguration);
  CACHECFG::Write(kConfiguration | CACHECFG_ENABLE::Of(1));
}

// Pads can be configured while one of these exists.
class PadsUnlocked {
 public:
  PadsUnlocked() { gpio::PADKEY::Write(gpio::PADKEY_PADKEY::Of(gpio::kKey)); }
  ~PadsUnlocked() { gpio::PADKEY::Write(gpio::PADKEY_PADKEY::Of(0)); }
  PadsUnlocked(const PadsUnlocked&) = delete;
  PadsUnlocked& operator=(const PadsUnlocked&) = delete;
};

void StartConsole() {
  using namespace uart0;
  pwrctrl::DEVPWREN_PWRUART0::Set(1);
  while (pwrctrl::DEVPWRSTATUS_HCPA::Read() == 0) {
  }
  {
    using Tx = gpio::Pad<48>;
    using Rx = gpio::Pad<49>;
    constexpr uint32_t kUart0Tx = 0;
    constexpr uint32_t kUart0Rx = 0;
    PadsUnlocked unlocked;
    Tx::PADREG::Change(Tx::All::kMask, Tx::FNCSEL::Of(kUart0Tx));
    Rx::PADREG::Change(Rx::All::kMask, Rx::FNCSEL::Of(kUart0Rx) | Rx::INPEN::Of(1));
  }
  // The clock first, on its own: the divisors are written while the UART is clocked but disabled.
  constexpr CR::Bits kClock = CR_CLKEN::Of(1) | CR_CLKSEL::Of(kClock24MHz);
  CR::WriteWord(0);
  CR::Write(kClock);
  // Divisor in 1/64: 24 MHz / (16 * baud).
  constexpr uint32_t kDivisor64 = (24000000 * 4 + BOARD_BAUD / 2) / BOARD_BAUD;
  IBRD::Write(IBRD_DIVINT::Of(kDivisor64 / 64));
  FBRD::Write(FBRD_DIVFRAC::Of(kDivisor64 % 64));
  LCRH::Write(LCRH_FEN::Of(1) | LCRH_WLEN::Of(kEightBits));
  CR::Write(kClock | CR_UARTEN::Of(1) | CR_TXE::Of(1) | CR_RXE::Of(1));
  g_console_is_up = true;
}

// 1 kHz of a 12 MHz count: fast enough for the eye, and a period that fits the 16-bit compare.
constexpr uint32_t kPeriodCounts = 12000;

// A LED on pad `kPad`, driven by the timer output CT`kOutput`. On that output the timer half
// `Timer` is source `kSource`; on that pad the output is function `kFunction`.
template <unsigned kPad, uint32_t kFunction, unsigned kOutput, uint32_t kSource, typename Timer>
struct PwmLed {
  using Pad = gpio::Pad<kPad>;
  using Select = typename ctimer::OutputSource<kOutput>::Select;

  static void Start() {
    constexpr auto kConfiguration =
        Timer::CLK::Of(ctimer::kHfrcDiv4) | Timer::FN::Of(ctimer::kRepeatedPwm);
    Select::Set(ctimer::kForceLow);
    Timer::CTRL::Change(Timer::WholeHalf::kMask, kConfiguration | Timer::CLR::Of(1));
    SetCounts(kPeriodCounts / 2);
    Timer::GlobalEnable::Set(1);
    Timer::CTRL::Change(Timer::WholeHalf::kMask, kConfiguration | Timer::EN::Of(1));
    gpio::CtOutputDisable<kOutput>::Set(0);
    PadsUnlocked unlocked;
    // STRNG and DS1 together are the strongest drive, 12 mA: the LEDs hang directly on the pads.
    Pad::PADREG::Change(Pad::All::kMask, Pad::FNCSEL::Of(kFunction) | Pad::STRNG::Of(1));
    Pad::DS1::Set(1);
    Pad::OUTCFG::Set(gpio::kPushPull);
  }

  // Lit for `on` of kPeriodCounts counts. The timer cannot do none and all of them: compare values
  // must not be 0, and counting goes from 0 to CMPR1.
  static void Set(uint32_t on) {
    if (on < 1) {
      Select::Set(ctimer::kForceLow);
    } else if (on > kPeriodCounts - 2) {
      Select::Set(ctimer::kForceHigh);
    } else {
      SetCounts(on);
      Select::Set(kSource);
    }
  }

 private:
  static void SetCounts(uint32_t on) {
    constexpr uint32_t kLastCount = kPeriodCounts - 1;
    Timer::CMPR::Write(Timer::CMPR0::Of(kLastCount - on) | Timer::CMPR1::Of(kLastCount));
  }
};

using ctimer::Half;
using RedLed = PwmLed<46, 2, 24, 2, ctimer::Timer<6, Half::kA>>;
using BlueLed = PwmLed<37, 7, 29, 4, ctimer::Timer<7, Half::kA>>;
using GreenLed = PwmLed<44, 2, 20, 2, ctimer::Timer<5, Half::kA>>;
using YellowLed = PwmLed<47, 2, 26, 2, ctimer::Timer<6, Half::kB>>;

}  // namespace

void BoardInit() {
  RunAt48MHz();
  EnableCache();
  StartConsole();
  RedLed::Start();
  BlueLed::Start();
  GreenLed::Start();
  YellowLed::Start();
}

void BoardConsoleWrite(const char* text, size_t length) {
  if (!g_console_is_up) return;
  for (size_t i = 0; i < length; ++i) {
    while (uart0::FR_TXFF::Read() != 0) {
    }
    uart0::DR::Write(uart0::DR_DATA::Of(static_cast<uint8_t>(text[i])));
  }
}

void BoardConsoleFlush() {
  if (!g_console_is_up) return;
  while (uart0::FR_BUSY::Read() != 0) {
  }
}

void BoardSetLed(unsigned led, float brightness) {
  uint32_t on = 0;
  if (brightness >= 1.0f) {
    on = kPeriodCounts;
  } else if (brightness > 0.0f) {
    on = static_cast<uint32_t>(brightness * kPeriodCounts + 0.5f);
  }
  switch (led) {
    case kRedLed:
      return RedLed::Set(on);
    case kBlueLed:
      return BlueLed::Set(on);
    case kGreenLed:
      return GreenLed::Set(on);
    case kYellowLed:
      return YellowLed::Set(on);
  }
}
