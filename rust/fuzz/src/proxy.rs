//! The first bytes of a connection that a proxy opened.

use hairpin_proto::proxy::{read, Header};

/// Any bytes are a header, the beginning of one, or none. A header lies within the bytes, and what follows it changes nothing;
/// while it is not whole it is the beginning of one.
pub fn proxy(data: &[u8]) {
    let Header::Whole(size, client) = read(data) else { return };
    assert!((1..=data.len()).contains(&size));
    assert!(client.is_none_or(|client| client.ip() == client.ip().to_canonical()));
    assert_eq!(read(&data[..size]), Header::Whole(size, client));
    let next = [&data[..size], b"\0\x01\0\0"].concat();
    assert_eq!(read(&next), Header::Whole(size, client));
    for cut in 0..size {
        assert_eq!(read(&data[..cut]), Header::NeedMore, "{cut} of {size}");
    }
}
