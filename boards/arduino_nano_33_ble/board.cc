// Arduino Nano 33 BLE at register level: crystal, console on UARTE0, built-in LED on PWM0.

#include <cstddef>
#include <cstdint>

#include "boards/arduino_nano_33_ble/leds.h"
#include "boards/arduino_nano_33_ble/registers.h"
#include "boards/common/board.h"

namespace {

using namespace nrf52840;  // NOLINT: this file is the chip's

static_assert(BOARD_CLOCK_HZ == 64000000, "the core has one clock and nothing to set");
static_assert(BOARD_BAUD == 115200, "UARTE rates are a table of the vendor's; kBaud115200 is taken");

bool g_console_is_up = false;

// What was stored before is in memory when the next statement starts a transfer by EasyDMA: the
// compiler would otherwise see no reader of it.
void FinishStores() { __asm volatile("dmb" ::: "memory"); }

// The internal oscillator may be off by 8 %, too much for a serial line; the crystal is exact. It
// starts within a millisecond; without one the program goes on by the internal oscillator.
void StartCrystal() {
  constexpr int kLooks = 20000;  // each takes 5 cycles or more: at least 1.5 ms at 64 MHz
  clock::EVENTS_HFCLKSTARTED::WriteWord(event::kNotYet);
  clock::TASKS_HFCLKSTART::WriteWord(task::kStart);
  for (int look = 0; look < kLooks; ++look) {
    if (clock::EVENTS_HFCLKSTARTED::Read() != event::kNotYet) break;
  }
}

// What the console sends. EasyDMA reads RAM only, and text may lie in flash, so it is copied: one
// half is filled while the other one is sent.
class Transmitter {
 public:
  void Put(char character) {
    halves_[filling_][length_++] = static_cast<uint8_t>(character);
    if (character == '\n' || length_ == kHalf) Send();
  }

  // Starts to send what was put, once the other half has left.
  void Send() {
    if (length_ == 0) return;
    Wait();
    FinishStores();
    uarte0::EVENTS_ENDTX::WriteWord(event::kNotYet);
    uarte0::TXD_PTR::WriteWord(reinterpret_cast<uintptr_t>(halves_[filling_]));
    uarte0::TXD_MAXCNT::Write(uarte0::TXD_MAXCNT_MAXCNT::Of(length_));
    uarte0::TASKS_STARTTX::WriteWord(task::kStart);
    sending_ = true;
    filling_ ^= 1;
    length_ = 0;
  }

  // Waits until the last bit has left.
  void Wait() {
    if (!sending_) return;
    while (uarte0::EVENTS_ENDTX::Read() == event::kNotYet) {
    }
    sending_ = false;
  }

 private:
  static constexpr unsigned kHalf = 64;

  uint8_t halves_[2][kHalf];
  unsigned filling_ = 0;
  unsigned length_ = 0;
  bool sending_ = false;
};

Transmitter g_transmitter;

void StartConsole() {
  using namespace uarte0;
  using Tx = gpio::Pin<35>;  // P1.03
  using Rx = gpio::Pin<42>;  // P1.10
  // The line idles high, also while the UARTE does not drive it: high first, then an output.
  Tx::OUTSET::WriteWord(Tx::kBit);
  Tx::PIN_CNF::Write(Tx::PIN_CNF_DIR::Of(gpio::kOutput) |
                     Tx::PIN_CNF_INPUT::Of(gpio::kInputDisconnected));
  Rx::PIN_CNF::Write(Rx::PIN_CNF_INPUT::Of(gpio::kInputConnected) |
                     Rx::PIN_CNF_PULL::Of(gpio::kPullUp));
  // Pins may be selected only while the UARTE is disabled.
  ENABLE::Write(ENABLE_ENABLE::Of(kDisabled));
  PSEL_TXD::Write(PSEL_TXD_PIN::Of(3) | PSEL_TXD_PORT::Of(1) | PSEL_TXD_CONNECT::Of(kConnected));
  PSEL_RXD::Write(PSEL_RXD_PIN::Of(10) | PSEL_RXD_PORT::Of(1) | PSEL_RXD_CONNECT::Of(kConnected));
  PSEL_RTS::WriteWord(kDisconnected);
  PSEL_CTS::WriteWord(kDisconnected);
  BAUDRATE::WriteWord(kBaud115200);
  CONFIG::Write(CONFIG_HWFC::Of(0) | CONFIG_PARITY::Of(0) | CONFIG_STOP::Of(0));
  ENABLE::Write(ENABLE_ENABLE::Of(kEnabled));
  g_console_is_up = true;
}

// The built-in LED, P0.13. A period has one count for each step, so that no step and all of them
// are steady levels: 16 MHz / 64 / 255 = 980 Hz.
class BuiltinLed {
 public:
  void Start() {
    using namespace pwm0;
    using Pin = gpio::Pin<13>;
    Pin::OUTCLR::WriteWord(Pin::kBit);
    Pin::PIN_CNF::Write(Pin::PIN_CNF_DIR::Of(gpio::kOutput) |
                        Pin::PIN_CNF_INPUT::Of(gpio::kInputDisconnected));
    PSEL_OUT0::Write(PSEL_OUT0_PIN::Of(13) | PSEL_OUT0_PORT::Of(0) |
                     PSEL_OUT0_CONNECT::Of(kConnected));
    ENABLE::Write(ENABLE_ENABLE::Of(1));
    MODE::Write(MODE_UPDOWN::Of(kUp));
    PRESCALER::Write(PRESCALER_PRESCALER::Of(kDiv64));
    COUNTERTOP::Write(COUNTERTOP_COUNTERTOP::Of(kBrightestStep));
    LOOP::Write(LOOP_CNT::Of(0));
    DECODER::Write(DECODER_LOAD::Of(kCommon) | DECODER_MODE::Of(kRefreshCount));
    SEQ0_PTR::WriteWord(reinterpret_cast<uintptr_t>(sequence_));
    SEQ0_CNT::Write(SEQ0_CNT_CNT::Of(1));
    SEQ0_REFRESH::Write(SEQ0_REFRESH_CNT::Of(0));
    SEQ0_ENDDELAY::Write(SEQ0_ENDDELAY_CNT::Of(0));
    Set(0);
  }

  // `step` is 0 to kBrightestStep. The sequence is played once; its value then stays.
  void Set(unsigned step) {
    sequence_[0] = static_cast<uint16_t>(pwm0::kHighFirst | step);
    FinishStores();
    pwm0::TASKS_SEQSTART0::WriteWord(task::kStart);
  }

 private:
  uint16_t sequence_[1];
};

BuiltinLed g_builtin_led;

}  // namespace

void BoardInit() {
  StartCrystal();
  StartConsole();
  g_builtin_led.Start();
}

void BoardConsoleWrite(const char* text, size_t length) {
  if (!g_console_is_up) return;
  for (size_t i = 0; i < length; ++i) g_transmitter.Put(text[i]);
}

void BoardConsoleFlush() {
  if (!g_console_is_up) return;
  g_transmitter.Send();
  g_transmitter.Wait();
}

void BoardSetLed(unsigned led, float brightness) {
  if (led != kBuiltinLed) return;
  unsigned step = 0;
  if (brightness >= 1.0f) {
    step = kBrightestStep;
  } else if (brightness > 0.0f) {
    step = static_cast<unsigned>(brightness * kBrightestStep + 0.5f);
  }
  g_builtin_led.Set(step);
}
