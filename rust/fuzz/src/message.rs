//! STUN messages.

use hairpin_proto::attributes::{self, code};
use hairpin_proto::integrity::Signature;
use hairpin_proto::message::{Message, Relayed};
use hairpin_proto::writer::Writer;

/// Attributes that a writer adds by itself.
const SEALS: [u16; 3] = [code::MESSAGE_INTEGRITY, code::MESSAGE_INTEGRITY_SHA256, code::FINGERPRINT];

/// Any bytes are a message or are refused. A message can be looked at in every way, and what of it can be read can be written
/// again, signed, and read as the same; no bit of it can then be changed and its seals still fit.
pub fn message(data: &[u8]) {
    let Ok(message) = Message::decode(data) else { return };
    look_at(&message, data);
    let mut written = Vec::new();
    if write_again(&message, &mut written, b"key") {
        compare(&message, &written);
    }
}

fn look_at(message: &Message<&[u8]>, data: &[u8]) {
    assert!(!format!("{message:?}").is_empty());
    assert!(message.unknown().all(|code| attributes::required(code) && attributes::row(code).is_none()));
    assert!(message.malformed().all(|code| attributes::required(code) && attributes::row(code).is_some()));
    assert!(message.peers().count() <= data.len() / 4);
    if let Some(Relayed { peer, payload, .. }) = message.relayed() {
        assert!(peer.ip() == peer.ip().to_canonical() && payload.start <= payload.end && payload.end <= data.len());
    }
    for key in [&b""[..], b"key", &[0; 100]] {
        assert!(!message.verify(key) || message.has_integrity());
    }
}

fn write_again(message: &Message<&[u8]>, out: &mut Vec<u8>, key: &[u8]) -> bool {
    let mut writer = Writer::new(out, message.method(), message.kind(), message.transaction());
    for (code, bytes) in message.attributes().filter(|(code, _)| !SEALS.contains(code)) {
        if let Some(value) = attributes::row(code).and_then(|row| row.wire.read(bytes, message.transaction())) {
            writer.put(code, &value);
        }
    }
    let signature = if message.transaction()[0] & 1 == 0 { Signature::Sha1(key) } else { Signature::Sha256(key) };
    writer.finish(Some(signature), true)
}

fn compare(message: &Message<&[u8]>, written: &[u8]) {
    let again = Message::decode(written).expect("what was written can be read");
    assert_eq!((again.method(), again.kind()), (message.method(), message.kind()));
    assert_eq!(again.transaction(), message.transaction());
    assert!(again.verify(b"key") && !again.verify(b"kez") && again.has_fingerprint());
    for row in attributes::TABLE.iter().filter(|row| !SEALS.contains(&row.code)) {
        let first_is_good = message.value(row.code).is_some();
        assert!(!first_is_good || again.value(row.code) == message.value(row.code), "{}", row.name);
    }
    let sealed = written.len() - 8; // what FINGERPRINT covers
    let place = written.iter().map(|byte| usize::from(*byte)).sum::<usize>() % sealed;
    let mut spoiled = written.to_vec();
    spoiled[place] ^= 1;
    // A length that changed may hide the seals, but no seal fits what changed.
    let sealed = |message: Message<&[u8]>| message.has_fingerprint() || message.verify(b"key");
    assert!(!Message::decode(&spoiled[..]).is_ok_and(sealed), "the byte at {place} was changed unnoticed");
}
