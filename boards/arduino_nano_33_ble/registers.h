// nRF52840 registers that this board uses, with the names of the vendor's SVD. README.md has the sources.

#ifndef BOARDS_ARDUINO_NANO_33_BLE_REGISTERS_H_
#define BOARDS_ARDUINO_NANO_33_BLE_REGISTERS_H_

#include <cstdint>

#include "boards/common/mmio.h"

namespace nrf52840 {

using mmio::Field;
using mmio::Register;

namespace task {
constexpr uint32_t kStart = 1;
}  // namespace task

// An event register is 1 when the event has happened, until the program writes 0.
namespace event {
constexpr uint32_t kNotYet = 0;
}  // namespace event

namespace clock {
constexpr uint32_t kBase = 0x40000000;
using TASKS_HFCLKSTART = Register<kBase + 0x000>;
using EVENTS_HFCLKSTARTED = Register<kBase + 0x100>;
}  // namespace clock

namespace gpio {
// Pins of both ports are numbered through: P0.13 is 13, P1.03 is 35. So do the PSEL registers.
template <unsigned kPin>
struct Pin {
  static_assert(kPin < 48, "the chip has P0.00 to P0.31 and P1.00 to P1.15");
  static constexpr uint32_t kBase = kPin < 32 ? 0x50000000 : 0x50000300;
  static constexpr unsigned kIndex = kPin % 32;
  static constexpr uint32_t kBit = 1u << kIndex;

  using OUTSET = Register<kBase + 0x508>;
  using OUTCLR = Register<kBase + 0x50C>;
  using PIN_CNF = Register<kBase + 0x700 + 4 * kIndex>;
  using PIN_CNF_DIR = Field<PIN_CNF, 0>;
  using PIN_CNF_INPUT = Field<PIN_CNF, 1>;
  using PIN_CNF_PULL = Field<PIN_CNF, 2, 2>;
};
constexpr uint32_t kOutput = 1;
constexpr uint32_t kInputConnected = 0;
constexpr uint32_t kInputDisconnected = 1;
constexpr uint32_t kPullUp = 3;
}  // namespace gpio

namespace uarte0 {
constexpr uint32_t kBase = 0x40002000;
using TASKS_STARTTX = Register<kBase + 0x008>;
using EVENTS_ENDTX = Register<kBase + 0x120>;
using ENABLE = Register<kBase + 0x500>;
using ENABLE_ENABLE = Field<ENABLE, 0, 4>;
constexpr uint32_t kDisabled = 0;
constexpr uint32_t kEnabled = 8;  // 4 would be the UART without EasyDMA at the same address
using PSEL_RTS = Register<kBase + 0x508>;
using PSEL_TXD = Register<kBase + 0x50C>;
using PSEL_TXD_PIN = Field<PSEL_TXD, 0, 5>;
using PSEL_TXD_PORT = Field<PSEL_TXD, 5>;
using PSEL_TXD_CONNECT = Field<PSEL_TXD, 31>;
using PSEL_CTS = Register<kBase + 0x510>;
using PSEL_RXD = Register<kBase + 0x514>;
using PSEL_RXD_PIN = Field<PSEL_RXD, 0, 5>;
using PSEL_RXD_PORT = Field<PSEL_RXD, 5>;
using PSEL_RXD_CONNECT = Field<PSEL_RXD, 31>;
constexpr uint32_t kConnected = 0;
constexpr uint32_t kDisconnected = 0xFFFFFFFF;  // a whole PSEL register
using BAUDRATE = Register<kBase + 0x524>;
constexpr uint32_t kBaud115200 = 0x01D60000;
using TXD_PTR = Register<kBase + 0x544>;
using TXD_MAXCNT = Register<kBase + 0x548>;
using TXD_MAXCNT_MAXCNT = Field<TXD_MAXCNT, 0, 16>;
using CONFIG = Register<kBase + 0x56C>;
using CONFIG_HWFC = Field<CONFIG, 0>;
using CONFIG_PARITY = Field<CONFIG, 1, 3>;
using CONFIG_STOP = Field<CONFIG, 4>;
}  // namespace uarte0

namespace pwm0 {
constexpr uint32_t kBase = 0x4001C000;
using TASKS_SEQSTART0 = Register<kBase + 0x008>;
using ENABLE = Register<kBase + 0x500>;
using ENABLE_ENABLE = Field<ENABLE, 0>;
using MODE = Register<kBase + 0x504>;
using MODE_UPDOWN = Field<MODE, 0>;
constexpr uint32_t kUp = 0;
using COUNTERTOP = Register<kBase + 0x508>;
using COUNTERTOP_COUNTERTOP = Field<COUNTERTOP, 0, 15>;
using PRESCALER = Register<kBase + 0x50C>;
using PRESCALER_PRESCALER = Field<PRESCALER, 0, 3>;
constexpr uint32_t kDiv64 = 6;  // of 16 MHz
using DECODER = Register<kBase + 0x510>;
using DECODER_LOAD = Field<DECODER, 0, 2>;
using DECODER_MODE = Field<DECODER, 8>;
constexpr uint32_t kCommon = 0;        // one compare value for all channels
constexpr uint32_t kRefreshCount = 0;  // steps by counted periods, not by a task
using LOOP = Register<kBase + 0x514>;
using LOOP_CNT = Field<LOOP, 0, 16>;
using SEQ0_PTR = Register<kBase + 0x520>;
using SEQ0_CNT = Register<kBase + 0x524>;
using SEQ0_CNT_CNT = Field<SEQ0_CNT, 0, 15>;
using SEQ0_REFRESH = Register<kBase + 0x528>;
using SEQ0_REFRESH_CNT = Field<SEQ0_REFRESH, 0, 24>;
using SEQ0_ENDDELAY = Register<kBase + 0x52C>;
using SEQ0_ENDDELAY_CNT = Field<SEQ0_ENDDELAY, 0, 24>;
using PSEL_OUT0 = Register<kBase + 0x560>;
using PSEL_OUT0_PIN = Field<PSEL_OUT0, 0, 5>;
using PSEL_OUT0_PORT = Field<PSEL_OUT0, 5>;
using PSEL_OUT0_CONNECT = Field<PSEL_OUT0, 31>;
constexpr uint32_t kConnected = 0;

// A compare value in RAM: high for that many counts from the start of the period, then low.
constexpr uint16_t kHighFirst = 1u << 15;
}  // namespace pwm0

}  // namespace nrf52840

#endif  // BOARDS_ARDUINO_NANO_33_BLE_REGISTERS_H_
