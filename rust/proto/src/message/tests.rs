use super::*;
use crate::integrity::Signature;
use crate::writer::Writer;

/// RFC 5769, section 2.1.
const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
    002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
    000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
/// RFC 5769, section 2.2.
const IPV4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
    002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
/// RFC 5769, section 2.3.
const IPV6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
    002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
    00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
/// RFC 5769, section 2.4.
const LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000\
    0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f726700\
    00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";
/// MD5 of "マトリックス:example.org:TheMatrIX".
const LONG_TERM_KEY: &str = "e8ca7ad59d5eb0518e312911d2dab2a9";
const ID: [u8; 12] = [7; 12];

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn decoded(text: &str) -> Message<Vec<u8>> {
    Message::decode(hex(text)).unwrap()
}

/// A message of attributes given as code, length field and bytes.
fn raw(leading: u16, attributes: &[(u16, u16, &[u8])]) -> Vec<u8> {
    let body: Vec<u8> = attributes
        .iter()
        .flat_map(|(code, length, bytes)| [&code.to_be_bytes(), &length.to_be_bytes(), *bytes].concat())
        .collect();
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&leading.to_be_bytes()[..], &length, &MAGIC_COOKIE.to_be_bytes(), &ID, &body].concat()
}

fn error(bytes: &[u8]) -> Option<DecodeError> {
    Message::decode(bytes).err()
}

#[test]
fn the_sample_request_is_read_and_verified() {
    let message = decoded(REQUEST);
    assert_eq!((message.method(), message.kind()), (method::BINDING, Kind::Request));
    assert_eq!(message.transaction(), &hex("b7e7a701bc34d686fa87dfae")[..]);
    assert_eq!(message.text(code::SOFTWARE), Some("STUN test client"));
    assert_eq!(message.text(code::USERNAME), Some("evtj:h6vY"));
    assert_eq!(message.unknown().collect::<Vec<_>>(), [0x0024]);
    assert!(message.has_integrity() && message.has_fingerprint());
    assert!(message.verify(PASSWORD) && !message.verify(b"") && !message.verify(b"VOkJxbRl1RmTxUk/WvJxBu"));
}

#[test]
fn the_sample_responses_are_read_and_verified() {
    for (text, address) in [(IPV4, "192.0.2.1:32853"), (IPV6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")] {
        let message = decoded(text);
        assert_eq!((message.method(), message.kind()), (method::BINDING, Kind::Success));
        assert_eq!(message.address(code::XOR_MAPPED_ADDRESS), Some(address.parse().unwrap()));
        assert_eq!(message.text(code::SOFTWARE), Some("test vector"));
        assert!(message.verify(PASSWORD) && message.has_fingerprint());
    }
}

#[test]
fn the_sample_with_long_term_credentials_is_read_and_verified() {
    let message = decoded(LONG_TERM);
    assert_eq!(message.text(code::USERNAME), Some("マトリックス"));
    assert_eq!(message.text(code::REALM), Some("example.org"));
    assert_eq!(message.text(code::NONCE), Some("f//499k954d6OL34oL9FSTvy64sA"));
    assert!(message.verify(&hex(LONG_TERM_KEY)) && !message.verify(PASSWORD));
    assert!(!message.has_fingerprint());
    assert_eq!((message.unknown().count(), message.malformed().count()), (0, 0));
}

#[test]
fn a_message_is_nothing_when_cut_or_extended_anywhere() {
    for text in [REQUEST, IPV4, IPV6, LONG_TERM] {
        let bytes = hex(text);
        for size in 0..bytes.len() {
            assert!(error(&bytes[..size]).is_some());
            let mut cut = bytes[..size].to_vec(); // with a length field that tells the truth
            if let Some(length) = size.checked_sub(HEADER) {
                cut[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
                if let Ok(message) = Message::decode(&cut[..]) {
                    assert!(!message.has_fingerprint());
                }
            }
        }
        assert_eq!(error(&[&bytes[..], &[0; 4]].concat()), Some(DecodeError::Length));
    }
}

#[test]
fn no_flipped_bit_is_taken_for_the_message() {
    let bytes = hex(REQUEST);
    for bit in 0..bytes.len() * 8 {
        let mut other = bytes.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        if let Ok(message) = Message::decode(&other[..]) {
            assert!(!message.has_fingerprint(), "bit {bit}");
            let _ = (format!("{message:?}"), message.verify(PASSWORD), message.malformed().count());
        }
    }
    let mut other = hex(LONG_TERM);
    for at in 0..other.len() {
        other[at] ^= 0x10;
        assert!(!Message::decode(&other[..]).is_ok_and(|message| message.verify(&hex(LONG_TERM_KEY))), "{at}");
        other[at] ^= 0x10;
    }
}

#[test]
fn headers_that_are_not_stun_are_refused() {
    let good = raw(0x0001, &[]);
    assert_eq!(error(&good), None);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        error(&bytes)
    };
    assert_eq!(with(0, 0x40), Some(DecodeError::Header));
    assert_eq!(with(0, 0x80), Some(DecodeError::Header));
    assert_eq!(with(7, 0x43), Some(DecodeError::Cookie));
    assert_eq!(with(3, 2), Some(DecodeError::Length));
    assert_eq!(with(3, 4), Some(DecodeError::Length));
    assert_eq!(error(&raw(0x0001, &[(0x8022, 0, &[0; 2])])), Some(DecodeError::Length));
    assert_eq!(error(&[]), Some(DecodeError::Header));
}

#[test]
fn lengths_of_attributes_that_lie_are_refused() {
    for length in 5..=u16::MAX {
        assert_eq!(error(&raw(1, &[(0x8022, length, b"abcd")])), Some(DecodeError::Attribute));
    }
    for length in 1..=4 {
        assert_eq!(error(&raw(1, &[(0x8022, length, b"abcd")])), None);
    }
    assert_eq!(error(&raw(1, &[(0x8022, 0, b"")])), None);
}

#[test]
fn a_fingerprint_must_be_right_whole_and_last() {
    let mut out = Vec::new();
    assert!(Writer::new(&mut out, method::BINDING, Kind::Request, &ID).finish(None, true));
    assert!(Message::decode(&out[..]).unwrap().has_fingerprint());
    let mut wrong = out.clone();
    wrong[27] ^= 1;
    assert_eq!(error(&wrong), Some(DecodeError::Fingerprint));
    let tag: &[u8] = &out[24..];
    let (fingerprint, other) = ((code::FINGERPRINT, 4, tag), (0x8022, 0, &b""[..]));
    assert_eq!(error(&raw(1, &[fingerprint, other])), Some(DecodeError::Fingerprint));
    assert_eq!(error(&raw(1, &[(code::FINGERPRINT, 0, b"")])), Some(DecodeError::Fingerprint));
    assert_eq!(error(&raw(1, &[(code::FINGERPRINT, 3, tag)])), Some(DecodeError::Fingerprint));
}

#[test]
fn after_an_integrity_only_what_the_rfc_lets_stand_there_counts() {
    let (sha1, sha256) = ((code::MESSAGE_INTEGRITY, 20, &[1; 20][..]), (0x001C, 32, &[2; 32][..]));
    let (lifetime, unknown) = ((code::LIFETIME, 4, &[0; 4][..]), (0x7777, 0, &b""[..]));
    let codes = |attributes: &[(u16, u16, &[u8])]| {
        let bytes = raw(1, attributes);
        let message = Message::decode(&bytes[..]).unwrap();
        assert_eq!(message.unknown().count(), 0);
        (message.attributes().map(|attribute| attribute.0).collect::<Vec<_>>(), message.has_integrity())
    };
    assert_eq!(codes(&[sha1, lifetime, unknown, sha1, sha256, lifetime]), (vec![0x0008, 0x001C], true));
    assert_eq!(codes(&[lifetime, sha256, sha1, sha256, unknown]), (vec![0x000D, 0x001C], true));
    let bytes = raw(1, &[sha1, lifetime]);
    assert_eq!(Message::decode(&bytes[..]).unwrap().number(code::LIFETIME), None);
}

#[test]
fn an_integrity_of_another_size_is_there_but_never_right() {
    for size in [0_u16, 4, 16, 19, 21, 32] {
        let value = vec![0; usize::from(size).next_multiple_of(4)];
        let bytes = raw(1, &[(code::MESSAGE_INTEGRITY, size, &value)]);
        let message = Message::decode(&bytes[..]).unwrap();
        assert!(message.has_integrity() && !message.verify(b"key"));
        assert_eq!(message.malformed().collect::<Vec<_>>(), [code::MESSAGE_INTEGRITY]);
    }
    let bytes = raw(1, &[]);
    assert!(!Message::decode(&bytes[..]).unwrap().verify(b""));
}

#[test]
fn the_whole_of_a_sha256_integrity_proves_and_comes_before_sha1() {
    let mut out = Vec::new();
    assert!(Writer::new(&mut out, method::ALLOCATE, Kind::Request, &ID).finish(Some(Signature::Sha256(b"key")), true));
    let whole = Message::decode(&out[..]).unwrap();
    assert!(whole.verify(b"key") && !whole.verify(b"kez"));
    let tag = whole.first(code::MESSAGE_INTEGRITY_SHA256).unwrap().to_vec();
    for size in [16, 20, 24, 28] {
        let bytes = raw(0x0003, &[(code::MESSAGE_INTEGRITY_SHA256, size, &tag[..usize::from(size)])]);
        assert!(!Message::decode(&bytes[..]).unwrap().verify(b"key"), "{size}");
    }
    assert!(Writer::new(&mut out, method::ALLOCATE, Kind::Request, &ID).finish(Some(Signature::Sha1(b"key")), false));
    out.extend([&[0, 0x1C, 0, 32][..], &[0; 32]].concat());
    out[3] += 36;
    assert!(!Message::decode(&out[..]).unwrap().verify(b"key"));
}

#[test]
fn the_first_of_duplicates_counts() {
    let (good, other, bad) = ([0, 0, 0, 1], [0, 0, 0, 2], [0; 8]);
    let bytes = raw(1, &[(0x000D, 4, &good), (0x000D, 4, &other), (0x000D, 8, &bad)]);
    let message = Message::decode(&bytes[..]).unwrap();
    assert_eq!((message.number(code::LIFETIME), message.malformed().count()), (Some(1), 0));
    let bytes = raw(1, &[(0x000D, 8, &bad), (0x000D, 4, &good), (0x000D, 8, &bad)]);
    let message = Message::decode(&bytes[..]).unwrap();
    assert_eq!(message.number(code::LIFETIME), None);
    assert_eq!(message.malformed().collect::<Vec<_>>(), [code::LIFETIME]);
}

#[test]
fn every_peer_is_seen_and_checked() {
    let (good, bad) = ([0, 1, 0x21, 0x13, 0x21, 0x12, 0xA4, 0x43], [0, 3, 0, 0]);
    let bytes = raw(8, &[(0x0012, 8, &good), (0x0012, 4, &bad), (0x0012, 8, &good), (0x0012, 4, &bad)]);
    let message = Message::decode(&bytes[..]).unwrap();
    let peer = Some("0.0.0.1:1".parse().unwrap());
    assert_eq!(message.peers().collect::<Vec<_>>(), [peer, None, peer, None]);
    assert_eq!(message.address(code::XOR_PEER_ADDRESS), peer);
    assert_eq!(message.malformed().collect::<Vec<_>>(), [code::XOR_PEER_ADDRESS]);
}

#[test]
fn unknown_required_codes_are_listed_once_and_in_order() {
    let codes = [0x7FFF, 0x0000, 0x8000, 0x7FFF, 0xFFFF, 0x0002, 0x0000];
    let bytes = raw(1, &codes.map(|code| (code, 0, &b""[..])));
    let message = Message::decode(&bytes[..]).unwrap();
    assert_eq!(message.unknown().collect::<Vec<_>>(), [0x7FFF, 0x0000, 0x0002]);
}

#[test]
fn a_malformed_optional_attribute_is_no_fault() {
    let bytes = raw(1, &[(code::SOFTWARE, 2, b"\xff\xff\0\0")]);
    let message = Message::decode(&bytes[..]).unwrap();
    assert_eq!((message.text(code::SOFTWARE), message.malformed().count()), (None, 0));
}

#[test]
fn an_indication_gives_its_peer_and_payload() {
    let (one, two) = ([0, 1, 0x21, 0x13, 0x21, 0x12, 0xA4, 0x43], [0, 1, 0, 0, 0, 0, 0, 0]);
    let (peer, other): (_, (u16, u16, &[u8])) = ((0x0012, 8, &one[..]), (0x0012, 8, &two));
    let data: (u16, u16, &[u8]) = (0x0013, 5, b"hello\xaa\xbb\xcc");
    let relayed = |attributes: &[(u16, u16, &[u8])]| {
        let bytes = raw(0x0016, attributes);
        let found = Message::decode(&bytes[..]).unwrap().relayed()?;
        Some((found.peer.to_string(), bytes[found.payload].to_vec(), found.whole))
    };
    let expected = Some(("0.0.0.1:1".to_owned(), b"hello".to_vec(), false));
    assert_eq!(relayed(&[peer, data]), expected);
    assert_eq!(relayed(&[data, peer]), expected);
    assert_eq!(relayed(&[peer, other, data, (0x0013, 0, b"")]), expected);
    assert_eq!(relayed(&[(0x8022, 1, b"\xff\0\0\0"), (0x000D, 4, b"abcd"), peer, data]), expected);
    assert_eq!(relayed(&[peer, (0x0013, 0, b"")]).map(|it| it.1), Some(vec![]));
    assert_eq!(relayed(&[peer, (0x001A, 0, b""), data]).map(|it| it.2), Some(true));
    for bad in [
        &[peer][..],
        &[data],
        &[peer, data, (0x001A, 4, b"what")],
        &[peer, data, (0x7777, 0, b"")],
        &[peer, data, (0x000D, 0, b"")],
        &[peer, (0x0012, 4, b"\0\x01\0\0"), data],
    ] {
        assert_eq!(relayed(bad), None);
    }
}

#[test]
fn the_owned_copy_is_the_same_message() {
    let message = decoded(REQUEST);
    let copy = message.to_owned();
    assert_eq!(copy.bytes(), message.bytes());
    assert!(copy.verify(PASSWORD) && copy.has_fingerprint());
}
