//! The credentials that a request claims to have been made with (RFC 8489, section 9.2.4): what can be told without knowing any.

use crate::attributes::{self, code, Value};
use crate::message::Message;
use crate::path::Refusal;
use crate::session::Credentials;
use sha2::{Digest, Sha256};

/// The key is MD5 of the user name, the realm and the password (RFC 8489, section 18.5.1.1).
pub const MD5: u16 = 1;
/// The key is SHA-256 of the same (RFC 8489, section 18.5.1.2).
pub const SHA256: u16 = 2;
/// PASSWORD-ALGORITHMS as this server sends it and wants it back, the preferred one first.
pub const OFFER: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

/// Who a request says it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimant<'a> {
    /// USERNAME
    Name(&'a str),
    /// USERHASH
    Hash(&'a [u8]),
}

/// A request that has all that the long-term mechanism asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// USERNAME, else USERHASH.
    pub claimant: Claimant<'a>,
    /// REALM
    pub realm: &'a str,
    /// NONCE
    pub nonce: &'a str,
    /// What the key is made with; None where somebody between bids down, or the client asks for what we do not have.
    pub algorithm: Option<u16>,
    /// It brings an ACCESS-TOKEN, and is signed with the key in that (RFC 7635, section 4).
    pub token: bool,
}

const PARTS: [u16; 8] = [
    code::USERNAME,
    code::USERHASH,
    code::REALM,
    code::NONCE,
    code::PASSWORD_ALGORITHM,
    code::PASSWORD_ALGORITHMS,
    code::MESSAGE_INTEGRITY_SHA256,
    code::ACCESS_TOKEN,
];

impl<'a> Claim<'a> {
    /// What a request claims; 401 where it claims nothing, 400 where a part is missing or malformed.
    pub fn read<B: AsRef<[u8]>>(message: &'a Message<B>) -> Result<Self, Refusal> {
        if !message.has_integrity() {
            return Err(Refusal::Unauthenticated);
        }
        let mut parts = [None; PARTS.len()];
        for (code, value) in message.attributes() {
            if let Some(place) = PARTS.iter().position(|part| *part == code) {
                parts[place].get_or_insert(value);
            }
        }
        let [name, hash, realm, nonce, algorithm, algorithms, integrity, token] = parts;
        if integrity.is_some() && read(code::MESSAGE_INTEGRITY_SHA256, integrity).is_none() {
            return Err(Refusal::BadRequest); // section 14.6
        }
        let name = text(code::USERNAME, name).map(Claimant::Name);
        let hash = || hash.filter(|hash| hash.len() == 32).map(Claimant::Hash);
        match (name.or_else(hash), text(code::REALM, realm), text(code::NONCE, nonce)) {
            (Some(claimant), Some(realm), Some(nonce)) => {
                Ok(Self { claimant, realm, nonce, algorithm: chosen(algorithm, algorithms), token: token.is_some() })
            }
            _ => Err(Refusal::BadRequest),
        }
    }

    /// Whether it claims to come from this user, with the key that is known: of its algorithm, and not of a new token.
    pub fn is_of(&self, credentials: &Credentials) -> bool {
        let same = match self.claimant {
            Claimant::Name(name) => name == &*credentials.username,
            Claimant::Hash(hash) => hash == userhash(&credentials.username, self.realm),
        };
        same && self.algorithm == Some(credentials.algorithm) && !self.token
    }
}

/// Neither attribute is MD5; else both must be there, the list as it was sent and the choice in it (RFC 8489, section 9.2.4).
fn chosen(algorithm: Option<&[u8]>, algorithms: Option<&[u8]>) -> Option<u16> {
    match (algorithm, algorithms) {
        (None, None) => Some(MD5),
        (Some(choice), Some(offer)) if offer == OFFER && OFFER.chunks(4).any(|one| one == choice) => {
            Some(u16::from_be_bytes([choice[0], choice[1]]))
        }
        _ => None,
    }
}

/// SHA-256 of "username:realm" (RFC 8489, section 14.4).
fn userhash(username: &str, realm: &str) -> [u8; 32] {
    Sha256::new().chain_update(username).chain_update(":").chain_update(realm).finalize().into()
}

fn text(code: u16, bytes: Option<&[u8]>) -> Option<&str> {
    match read(code, bytes) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn read(code: u16, bytes: Option<&[u8]>) -> Option<Value<'_>> {
    attributes::row(code)?.wire.read(bytes?, &[0; 12]) // none of these has an address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_counts_with_the_whole_offer_only() {
        let (md5, sha256): (&[u8], &[u8]) = (&[0, 1, 0, 0], &[0, 2, 0, 0]);
        assert_eq!(chosen(None, None), Some(MD5));
        assert_eq!(chosen(Some(md5), Some(&OFFER)), Some(MD5));
        assert_eq!(chosen(Some(sha256), Some(&OFFER)), Some(SHA256));
        let swapped = [&OFFER[4..], &OFFER[..4]].concat();
        let longer = [&OFFER[..], &[0, 3, 0, 0]].concat();
        for offer in [None, Some(md5), Some(sha256), Some(&swapped[..]), Some(&longer[..]), Some(&[][..])] {
            assert_eq!(chosen(Some(md5), offer), None);
        }
        for choice in [None, Some(&[0, 3, 0, 0][..]), Some(&[0, 2][..]), Some(&[0, 2, 0, 4, 1, 2, 3, 4]), Some(&OFFER)]
        {
            assert_eq!(chosen(choice, Some(&OFFER)), None);
        }
    }
}
