//! The first datagram of a DTLS client.

use hairpin_proto::dtls::{record_length, ClientHello, RECORD_HEADER};
use hairpin_proto::dtls_cookie::{Cookies, Greeting};

const NOW: u64 = 1_000_000_000_000;

/// Any bytes are records that lie within them; an answer is one record that is shorter than what was asked, and nobody can make a cookie.
pub fn greeting(data: &[u8]) {
    let mut rest = data;
    while let Some(length) = record_length(rest) {
        assert!((RECORD_HEADER..=rest.len()).contains(&length));
        rest = &rest[length..];
    }
    let hello = ClientHello::decode(data);
    let name = hello.and_then(|hello| hello.server_name());
    assert!(name
        .is_none_or(|name| data.windows(name.len().max(1)).any(|bytes| bytes == name.as_bytes()) || name.is_empty()));
    let mut answer = Vec::new();
    let client = ([192, 0, 2, 1], 5).into();
    match Cookies::new([7; 32]).greet(data, client, NOW, &mut answer) {
        Ok(Greeting::Answer) => {
            assert!(answer.len() < data.len() && record_length(&answer) == Some(answer.len()));
        }
        Ok(Greeting::Proved(..)) => panic!("a cookie was made by chance"),
        Err(_) => assert!(hello.is_none() && answer.is_empty()),
    }
}
