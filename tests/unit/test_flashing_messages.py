from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.flashing.messages import (
    LONGEST_DATA,
    LONGEST_MESSAGE,
    Abort,
    Ack,
    Data,
    Hello,
    Message,
    MessageError,
    OtaDescriptor,
    ReplyReader,
    Reset,
    Status,
    Update,
    decode,
    encode,
)

WORDS = st.integers(0, 0xFFFF_FFFF)
STATUSES = st.builds(Status, WORDS, WORDS, WORDS, WORDS, st.tuples(*[WORDS] * 16))
ACKS = st.builds(Ack, WORDS, WORDS, WORDS)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.just(Hello()),
    STATUSES,
    ACKS,
    st.builds(OtaDescriptor, WORDS),
    st.builds(Update, WORDS, WORDS),
    st.builds(Abort, WORDS),
    st.builds(Reset, WORDS),
    st.builds(Data, WORDS, st.binary(max_size=200)),
)


@pytest.mark.parametrize(
    ("message", "data"),
    [
        (Hello(), "14559de9 00000800"),
        (OtaDescriptor(0xFE000), "00d4bf7e 02000c00 00e00f00"),
        (Reset(1), "f071336c 06000c00 01000000"),
    ],
)
def test_messages_are_the_vendors_byte_for_byte(message: Message, data: str) -> None:
    assert encode(message) == bytes.fromhex(data)


@pytest.mark.parametrize(
    ("message", "length"),
    [
        (Status(0, 0, 0, 0, (0,) * 16), 88),
        (Update(0, 0), 20),
        (Abort(0), 12),
        (Ack(8, 0, 0), 20),
        (Data(0, bytes(LONGEST_DATA)), LONGEST_MESSAGE),
    ],
)
def test_lengths_are_the_vendors(message: Message, length: int) -> None:
    data = encode(message)
    assert len(data) == length
    assert struct.unpack_from("<H", data, 6) == (length,)


@given(MESSAGES)
def test_a_message_is_decoded_as_it_was_encoded(message: Message) -> None:
    assert decode(encode(message)) == message


@given(MESSAGES, st.data())
def test_a_changed_bit_is_always_noticed(message: Message, data: st.DataObject) -> None:
    damaged = bytearray(encode(message))
    bit = data.draw(st.integers(0, 8 * len(damaged) - 1))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MessageError):
        decode(bytes(damaged))


@given(st.binary(max_size=64))
def test_noise_is_no_message(noise: bytes) -> None:
    with pytest.raises(MessageError):
        decode(noise)


@given(st.integers(0, 0xFFFF), st.binary(max_size=120))
def test_a_sound_frame_of_any_type_is_a_message_or_an_error(kind: int, payload: bytes) -> None:
    body = struct.pack("<I", (8 + len(payload)) << 16 | kind) + payload
    frame = struct.pack("<I", zlib.crc32(body)) + body
    try:
        message = decode(frame)
    except MessageError:
        return
    assert encode(message) == frame or isinstance(message, Update)


@pytest.mark.parametrize(
    "message",
    [
        Data(0, bytes(LONGEST_DATA + 1)),
        Data(-1, b""),
        Reset(1 << 32),
        Status(0, 0, 0, 0, (0,) * 15),
    ],
)
def test_what_does_not_fit_is_not_encoded(message: Message) -> None:
    with pytest.raises(MessageError):
        encode(message)


@given(
    st.lists(st.one_of(STATUSES, ACKS), max_size=5),
    st.lists(st.binary(max_size=12).map(lambda noise: noise.replace(b"\x00", b"x")), min_size=6),
    st.integers(1, 40),
)
def test_replies_are_found_between_noise_however_they_are_cut(
    replies: list[Message], noise: list[bytes], size: int
) -> None:
    stream = noise[0] + b"".join(
        encode(reply) + between for reply, between in zip(replies, noise[1:], strict=False)
    )
    reader = ReplyReader()
    found = []
    for start in range(0, len(stream), size):
        reader.feed(stream[start : start + size])
        while (message := reader.next()) is not None:
            found.append(message)
    assert found == replies


@given(ACKS, st.integers(0, 159))
def test_a_damaged_reply_is_skipped_and_the_next_one_is_found(ack: Ack, bit: int) -> None:
    damaged = bytearray(encode(ack))
    damaged[bit // 8] ^= 1 << bit % 8
    other = replace(ack, sequence=ack.sequence ^ 1)
    reader = ReplyReader()
    reader.feed(bytes(damaged) + encode(other) + bytes(96))
    assert reader.next() == other
    assert reader.has_rest
    reader.clear()
    assert not reader.has_rest


def test_a_message_of_the_hosts_own_is_no_reply() -> None:
    reader = ReplyReader()
    reader.feed(encode(Reset(1)) + encode(Data(0, b"echo")))
    assert reader.next() is None
    assert reader.skipped
