//! Nonces that need no memory: signed, dated, and bound to the client's address (RFC 8489, sections 9.2 and 14.10).
//!
//! Each begins with the nonce cookie, which says what security features the server offers (sections 9.2 and 18.1). A nonce with
//! another cookie than the one in force is none of ours, so that nobody between can take an offer away unnoticed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// How long a nonce is fresh, in seconds.
pub const LIFETIME: u32 = 30 * 60;
const SECOND: u64 = 1_000_000_000;
/// The cookie of a server with the feature "password algorithms", bit 0 of 24 (RFC 8489, section 18.1).
const ALGORITHMS: &[u8; COOKIE] = b"obMatJos2gAAA";
/// The same with "username anonymity", bit 1.
const ALGORITHMS_AND_ANONYMITY: &[u8; COOKIE] = b"obMatJos2wAAA";
const COOKIE: usize = 13;
/// Bytes of the date and of the signature that stand behind the cookie, and the characters that they take.
const DATE: usize = 4;
const TAG: usize = 13;
const SIGNED: usize = 23;
/// Characters of a nonce.
pub const SIZE: usize = COOKIE + SIGNED;

/// Makes and checks nonces with one secret.
pub struct Nonces {
    mac: Hmac<Sha256>,
    anonymity: AtomicBool,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces") // the secret stays here
    }
}

impl Nonces {
    /// Nonces of a secret that came from a good source of chance.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        let mut block = [0; 64];
        block[..32].copy_from_slice(&secret);
        Self { mac: <Hmac<Sha256> as Mac>::new(&block.into()), anonymity: AtomicBool::new(false) }
    }

    /// Whether users may be named by USERHASH from now on (RFC 8489, section 9.2). A change makes all nonces stale.
    pub fn offer_anonymity(&self, offered: bool) {
        self.anonymity.store(offered, Ordering::Relaxed);
    }

    /// A nonce for that client, at `now` nanoseconds: the cookie and 23 characters of base64url.
    #[must_use]
    pub fn mint(&self, client: SocketAddr, now: u64) -> [u8; SIZE] {
        let date = seconds(now).to_be_bytes();
        let tag = self.sign(date, client).finalize().into_bytes();
        let mut raw = [0; DATE + TAG];
        raw[..DATE].copy_from_slice(&date);
        raw[DATE..].copy_from_slice(&tag[..TAG]);
        let mut text = [0; SIZE];
        text[..COOKIE].copy_from_slice(self.cookie());
        let written = URL_SAFE_NO_PAD.encode_slice(raw, &mut text[COOKIE..]);
        debug_assert_eq!(written, Ok(SIGNED));
        text
    }

    /// Whether the nonce was made for that client not more than 30 minutes before `now`; in constant time.
    #[must_use]
    pub fn fresh(&self, nonce: &str, client: SocketAddr, now: u64) -> bool {
        let Some(signed) = nonce.as_bytes().strip_prefix(self.cookie()) else { return false };
        let mut raw = [0; DATE + TAG];
        if signed.len() != SIGNED || URL_SAFE_NO_PAD.decode_slice(signed, &mut raw) != Ok(DATE + TAG) {
            return false;
        }
        let [d0, d1, d2, d3, tag @ ..] = raw;
        let date = [d0, d1, d2, d3];
        let age = seconds(now).checked_sub(u32::from_be_bytes(date));
        self.sign(date, client).verify_truncated_left(&tag).is_ok() && age.is_some_and(|age| age <= LIFETIME)
    }

    fn cookie(&self) -> &'static [u8; COOKIE] {
        if self.anonymity.load(Ordering::Relaxed) {
            ALGORITHMS_AND_ANONYMITY
        } else {
            ALGORITHMS
        }
    }

    fn sign(&self, date: [u8; DATE], client: SocketAddr) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&date);
        absorb_address(&mut mac, client);
        mac
    }
}

/// Sign a client's address, too.
pub(crate) fn absorb_address(mac: &mut Hmac<Sha256>, client: SocketAddr) {
    mac.update(&client.port().to_be_bytes());
    match client.ip().to_canonical() {
        IpAddr::V4(ip) => mac.update(&ip.octets()),
        IpAddr::V6(ip) => mac.update(&ip.octets()),
    }
}

/// Whole seconds; a monotonic clock takes 136 years to outgrow them.
pub(crate) fn seconds(now: u64) -> u32 {
    u32::try_from(now / SECOND).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 5_000 * SECOND + 7;

    fn client(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn minted(nonces: &Nonces, address: &str) -> String {
        String::from_utf8(nonces.mint(client(address), NOW).to_vec()).unwrap()
    }

    #[test]
    fn a_nonce_is_fresh_for_thirty_minutes() {
        let (nonces, address) = (Nonces::new([1; 32]), client("192.0.2.1:5"));
        let nonce = minted(&nonces, "192.0.2.1:5");
        let fresh = |now| nonces.fresh(&nonce, address, now);
        assert!(fresh(NOW) && fresh(NOW + 1800 * SECOND));
        assert!(!fresh(NOW + 1801 * SECOND) && !fresh(NOW - SECOND) && !fresh(0) && !fresh(u64::MAX));
    }

    #[test]
    fn a_nonce_is_of_one_client_and_one_secret() {
        let nonces = Nonces::new([1; 32]);
        let nonce = minted(&nonces, "192.0.2.1:5");
        assert!(nonces.fresh(&nonce, client("[::ffff:192.0.2.1]:5"), NOW));
        for other in ["192.0.2.1:6", "192.0.2.2:5", "[2001:db8::1]:5"] {
            assert!(!nonces.fresh(&nonce, client(other), NOW));
        }
        assert!(!Nonces::new([2; 32]).fresh(&nonce, client("192.0.2.1:5"), NOW));
    }

    #[test]
    fn a_nonce_with_any_other_character_is_forged() {
        let nonces = Nonces::new([1; 32]);
        let nonce = minted(&nonces, "[2001:db8::1]:5");
        for at in 0..nonce.len() {
            for other in ["A", "_", "=", "\0", "é", ""] {
                let forged = format!("{}{other}{}", &nonce[..at], &nonce[at + 1..]);
                assert!(forged == nonce || !nonces.fresh(&forged, client("[2001:db8::1]:5"), NOW), "{forged:?}");
            }
        }
        assert!(!nonces.fresh("", client("192.0.2.1:5"), NOW));
        assert!(!nonces.fresh(&"A".repeat(763), client("192.0.2.1:5"), NOW));
    }

    #[test]
    fn a_nonce_says_what_is_offered_and_is_stale_when_that_changes() {
        let (nonces, address) = (Nonces::new([1; 32]), client("192.0.2.1:5"));
        let before = minted(&nonces, "192.0.2.1:5");
        nonces.offer_anonymity(true);
        let after = minted(&nonces, "192.0.2.1:5");
        assert!(before.starts_with("obMatJos2gAAA") && after.starts_with("obMatJos2wAAA"));
        assert!(nonces.fresh(&after, address, NOW) && !nonces.fresh(&before, address, NOW));
        assert!(!nonces.fresh(&after.replace("wAAA", "gAAA"), address, NOW), "a bid down");
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Nonces::new([1; 32])), "Nonces");
    }
}
