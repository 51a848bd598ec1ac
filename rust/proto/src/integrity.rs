//! MESSAGE-INTEGRITY and MESSAGE-INTEGRITY-SHA256 (RFC 8489, sections 14.5 and 14.6).

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::Sha256;

use crate::attributes::code;
use crate::message::HEADER;

/// HMAC-SHA1, of MESSAGE-INTEGRITY.
pub(crate) type HmacSha1 = Hmac<Sha1>;
/// HMAC-SHA256, of MESSAGE-INTEGRITY-SHA256.
pub(crate) type HmacSha256 = Hmac<Sha256>;

/// How a message is to be signed: with which attribute, and with what key.
#[derive(Clone, Copy)]
pub enum Signature<'a> {
    /// MESSAGE-INTEGRITY
    Sha1(&'a [u8]),
    /// MESSAGE-INTEGRITY-SHA256
    Sha256(&'a [u8]),
}

/// Whether an integrity attribute was made with this key, in constant time. A MESSAGE-INTEGRITY-SHA256 that is cut short proves
/// nothing: a usage may allow that (section 14.6), TURN does not.
pub(crate) fn proves(code: u16, value: &[u8], before: &[u8], key: &[u8]) -> bool {
    if code == code::MESSAGE_INTEGRITY_SHA256 {
        over::<HmacSha256>(before, key).is_some_and(|mac| mac.verify_slice(value).is_ok())
    } else {
        over::<HmacSha1>(before, key).is_some_and(|mac| mac.verify_slice(value).is_ok())
    }
}

/// The HMAC over the bytes before the attribute, the length field as if the attribute ended the message.
pub(crate) fn over<M: Mac + KeyInit>(before: &[u8], key: &[u8]) -> Option<M> {
    let length = u16::try_from((before.len() + 4 + M::output_size()).checked_sub(HEADER)?).ok()?;
    let mut mac = <M as Mac>::new_from_slice(key).ok()?;
    mac.update(before.get(..2)?);
    mac.update(&length.to_be_bytes());
    mac.update(before.get(4..)?);
    Some(mac)
}
