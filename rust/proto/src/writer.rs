//! Writing messages (RFC 8489, sections 5 and 14).

use hmac::digest::KeyInit;
use hmac::Mac;

use crate::attributes::{self, code, Value, Wire};
use crate::integrity::{self, HmacSha1, HmacSha256, Signature};
use crate::message::{self, Kind, HEADER, MAGIC_COOKIE};

/// Writes one message, attribute by attribute.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    transaction: [u8; 12],
    fits: bool,
}

impl<'a> Writer<'a> {
    /// Clears `out` and begins a message there.
    pub fn new(out: &'a mut Vec<u8>, method: u16, kind: Kind, transaction: &[u8; 12]) -> Self {
        let class = kind as u16;
        let first = (method & 0x000F) | ((method & 0x0070) << 1) | ((method & 0x0F80) << 2);
        let first = first | ((class & 1) << 4) | ((class & 2) << 7);
        out.clear();
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&MAGIC_COOKIE.to_be_bytes());
        out.extend_from_slice(transaction);
        Self { out, transaction: *transaction, fits: method <= 0x0FFF }
    }

    /// Appends an attribute and its padding, in the form of its row; a code without a row has the plain form of the
    /// value. A value of another form spoils the message: `finish` says so.
    pub fn put(&mut self, code: u16, value: &Value<'_>) -> &mut Self {
        let start = self.out.len();
        self.out.extend_from_slice(&code.to_be_bytes());
        self.out.extend_from_slice(&[0; 2]);
        let wire = attributes::row(code).map_or_else(|| plain(value), |row| row.wire);
        self.fits &= wire.write(value, &self.transaction, self.out);
        self.close(start);
        self
    }

    /// Appends the integrity where there is a key, then FINGERPRINT where it is wanted, and sets the length.
    ///
    /// False, and `out` empty, where a value had not the form of its row or all is longer than a message can be.
    pub fn finish(&mut self, signature: Option<Signature<'_>>, fingerprint: bool) -> bool {
        match signature {
            Some(Signature::Sha1(key)) => self.sign::<HmacSha1>(code::MESSAGE_INTEGRITY, key),
            Some(Signature::Sha256(key)) => self.sign::<HmacSha256>(code::MESSAGE_INTEGRITY_SHA256, key),
            None => {}
        }
        if fingerprint {
            self.set_length(8);
            let crc = message::crc(self.out);
            self.put(code::FINGERPRINT, &Value::Number(crc));
        }
        self.set_length(0);
        if !self.fits {
            self.out.clear();
        }
        self.fits
    }

    fn sign<M: Mac + KeyInit>(&mut self, code: u16, key: &[u8]) {
        match integrity::over::<M>(self.out, key) {
            Some(mac) => {
                let tag = mac.finalize().into_bytes();
                self.put(code, &Value::Bytes(&tag));
            }
            None => self.fits = false,
        }
    }

    /// Sets the length of the attribute that begins at `start`, and pads it with zeros.
    fn close(&mut self, start: usize) {
        let length = self.out.len() - start - 4;
        match (u16::try_from(length), self.out.get_mut(start + 2..start + 4)) {
            (Ok(length), Some(field)) => field.copy_from_slice(&length.to_be_bytes()),
            _ => self.fits = false,
        }
        self.out.resize(self.out.len() + message::padding(length), 0);
    }

    /// Sets the length of the message, to which `coming` bytes will be added.
    fn set_length(&mut self, coming: usize) {
        let length = (self.out.len() + coming).saturating_sub(HEADER);
        match (u16::try_from(length), self.out.get_mut(2..4)) {
            (Ok(length), Some(field)) => field.copy_from_slice(&length.to_be_bytes()),
            _ => self.fits = false,
        }
    }
}

/// The form in which any value can be written.
fn plain(value: &Value<'_>) -> Wire {
    match value {
        Value::Number(_) => Wire::U32,
        Value::Text(_) => Wire::Text { max_bytes: usize::MAX, max_chars: usize::MAX },
        Value::Bytes(_) => Wire::Bytes,
        Value::Address(_) => Wire::Address,
        Value::Error(..) => Wire::Error,
        Value::FamilyError(..) => Wire::FamilyError,
        Value::Codes(_) => Wire::Codes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{method, Message};

    const ID: [u8; 12] = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";

    #[test]
    fn a_message_comes_back_as_it_was_written() {
        let mut out = vec![0xEE; 500];
        let peer = "[2001:db8::1]:5000".parse().unwrap();
        let whole = Writer::new(&mut out, method::ALLOCATE, Kind::Error, &ID)
            .put(code::ERROR_CODE, &Value::Error(401, "Unauthorized"))
            .put(code::REALM, &Value::Text("a"))
            .put(code::XOR_PEER_ADDRESS, &Value::Address(peer))
            .put(0x7777, &Value::Bytes(b"xyz"))
            .finish(Some(Signature::Sha1(b"key")), true);
        let message = Message::decode(&out[..]).unwrap();
        assert!(whole && message.verify(b"key") && !message.verify(b"kez") && message.has_fingerprint());
        assert_eq!((message.method(), message.kind(), message.transaction()), (method::ALLOCATE, Kind::Error, &ID));
        assert_eq!(message.value(code::ERROR_CODE), Some(Value::Error(401, "Unauthorized")));
        assert_eq!((message.text(code::REALM), message.address(code::XOR_PEER_ADDRESS)), (Some("a"), Some(peer)));
        assert_eq!(message.first(0x7777), Some(&b"xyz"[..]));
    }

    #[test]
    fn every_method_and_kind_survives() {
        let mut out = Vec::new();
        for number in 0..=0x0FFF {
            for kind in [Kind::Request, Kind::Indication, Kind::Success, Kind::Error] {
                assert!(Writer::new(&mut out, number, kind, &ID).finish(None, false));
                let message = Message::decode(&out[..]).unwrap();
                assert_eq!((message.method(), message.kind()), (number, kind));
            }
        }
        assert!(!Writer::new(&mut out, 0x1000, Kind::Request, &ID).finish(None, false));
    }

    #[test]
    fn the_sample_response_is_written_byte_for_byte() {
        // RFC 5769, section 2.2, but for its padding of a space
        let mut out = Vec::new();
        assert!(Writer::new(&mut out, method::BINDING, Kind::Success, &ID)
            .put(code::SOFTWARE, &Value::Text("test vector"))
            .put(code::XOR_MAPPED_ADDRESS, &Value::Address("192.0.2.1:32853".parse().unwrap()))
            .finish(None, false));
        assert_eq!(&out[20..36], b"\x80\x22\0\x0btest vector\0");
        assert_eq!(&out[36..], b"\0\x20\0\x08\0\x01\xa1\x47\xe1\x12\xa6\x43");
    }

    #[test]
    fn padding_is_zero_and_not_counted() {
        let mut out = vec![0xFF; 100];
        for length in 0..9 {
            assert!(Writer::new(&mut out, 1, Kind::Request, &ID)
                .put(code::DATA, &Value::Bytes(&[0xFF; 9][..length]))
                .finish(None, false));
            assert_eq!(usize::from(out[23]), length);
            assert_eq!(out.len(), 24 + length.next_multiple_of(4));
            assert!(out[24 + length..].iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn what_does_not_fit_leaves_nothing() {
        let mut out = Vec::new();
        assert!(!Writer::new(&mut out, 1, Kind::Request, &ID)
            .put(code::LIFETIME, &Value::Text("x"))
            .finish(Some(Signature::Sha1(b"key")), true));
        assert!(out.is_empty());
        for (size, key, fits) in [(65528, None, true), (65529, None, false), (65508, Some(Signature::Sha1(b"")), false)]
        {
            let data = vec![1; size];
            let mut writer = Writer::new(&mut out, 1, Kind::Request, &ID);
            assert_eq!(writer.put(code::DATA, &Value::Bytes(&data)).finish(key, false), fits);
            assert_eq!(Message::decode(&out[..]).is_ok(), fits);
        }
        let data = vec![1; 70_000];
        assert!(!Writer::new(&mut out, 1, Kind::Request, &ID).put(0x8000, &Value::Bytes(&data)).finish(None, true));
    }
}
