"""Where one message ends and the next begins on a stream (RFC 8656, section 12.5)."""

import struct

HEADER = struct.Struct("!HH")  # type or channel number, length
MESSAGE_HEADER, CHANNEL_HEADER = 20, 4


def is_channel_data(frame: bytes) -> bool:
    """Whether it is ChannelData, else it is a STUN message (RFC 8656, section 12)."""
    return bool(frame) and frame[0] & 0xC0 == 0x40


def frames(unread: bytearray) -> list[bytes]:
    """Take the frames that are whole, with their padding, off the beginning of what was read from a stream."""
    data, found, at = bytes(unread), [], 0
    while len(data) - at >= HEADER.size:
        first, length = HEADER.unpack_from(data, at)
        size = CHANNEL_HEADER + length + -length % 4 if first & 0xC000 else MESSAGE_HEADER + length
        if len(data) - at < size:
            break
        found.append(data[at : at + size])
        at += size
    del unread[:at]
    return found
