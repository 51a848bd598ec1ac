//! ChannelData, and frames on a stream.

use hairpin_proto::channel_data::{self, Frame, DATA_INDICATION_HEADER};
use hairpin_proto::message::Message;
use std::net::{IpAddr, SocketAddr};

/// Any bytes are a ChannelData message or are not; its payload lies within them, and a header made for it reads as the same. The
/// same payload behind a Data indication's header is that of a message.
pub fn channel_data(data: &[u8]) {
    if let Some((number, payload)) = channel_data::decode(data) {
        assert!((0x4000..0x8000).contains(&number) && payload.end <= data.len());
        assert_eq!(data[..4], channel_data::header(number, payload.len()));
    }
    let Some((seed, payload)) = data.split_first_chunk::<18>() else { return };
    indication(peer(seed), payload);
}

/// A stream is cut into the same frames however it comes in: at once, or in pieces as the first bytes say.
pub fn framing(data: &[u8]) {
    let Some((sizes, stream)) = data.split_first_chunk::<8>() else { return };
    let whole = cut(stream, &[]);
    let pieces = cut(stream, sizes);
    assert_eq!(whole, pieces);
    for frame in whole {
        match frame[0] >> 6 {
            0 => assert!(frame.len() >= 20 && frame.len() % 4 == 0),
            _ => assert!(channel_data::decode(frame).is_some()),
        }
    }
}

fn peer(seed: &[u8; 18]) -> SocketAddr {
    let [p0, p1, ip @ ..] = *seed;
    SocketAddr::new(IpAddr::from(ip).to_canonical(), u16::from_be_bytes([p0, p1]))
}

fn indication(peer: SocketAddr, payload: &[u8]) {
    let mut header = [0; DATA_INDICATION_HEADER];
    let size = channel_data::data_indication_header(&mut header, peer, payload.len(), [7; 12]);
    if size == 0 {
        return assert!(payload.len() > 65_000, "only what no message can hold has no header");
    }
    let padding = payload.len().wrapping_neg() % 4;
    let bytes = [&header[..size], payload, &[0; 3][..padding]].concat();
    let message = Message::decode(&bytes[..]).expect("a Data indication is a message");
    assert_eq!(message.relayed().map(|found| (found.peer, &bytes[found.payload])), Some((peer, payload)));
}

/// The frames of a stream that comes in pieces of these sizes, over and over; without sizes it comes at once.
fn cut<'a>(stream: &'a [u8], sizes: &[u8]) -> Vec<&'a [u8]> {
    let (mut frames, mut used, mut arrived) = (Vec::new(), 0, 0);
    let mut sizes = sizes.iter().cycle();
    while arrived < stream.len() {
        arrived = sizes.next().map_or(stream.len(), |size| stream.len().min(arrived + 1 + usize::from(*size)));
        loop {
            match channel_data::frame_length(&stream[used..arrived]) {
                Frame::Length(length) if used + length <= arrived => frames.push(&stream[used..used + length]),
                Frame::Length(_) | Frame::NeedMore => break,
                Frame::Broken => return frames,
            }
            used += frames.last().map_or(0, |frame| frame.len());
        }
    }
    frames
}
