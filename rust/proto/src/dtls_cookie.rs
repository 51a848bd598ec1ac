//! The first step of a DTLS handshake, without memory: a ClientHello is answered with a cookie, and a client that brings it back is
//! where it claims to be (RFC 6347, section 4.2.1). The cookie is signed and dated as a nonce is.

use crate::counters::Reason;
use crate::dtls::{ClientHello, HANDSHAKE, HANDSHAKE_HEADER};
use crate::nonce::{absorb_address, seconds};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use std::net::SocketAddr;

/// A cookie: its date and its signature.
pub type Cookie = [u8; DATE + TAG];

/// For the slowest client, which repeats its ClientHello for minutes.
const LIFETIME: u32 = 5 * 60;
const DATE: usize = 4;
const TAG: usize = 28;
/// What a client that brings its cookie back numbers its ClientHello.
const SECOND: u16 = 1;
const ALERT: u8 = 21;
const HELLO_VERIFY_REQUEST: u8 = 3;
const FATAL: u8 = 2;
const HANDSHAKE_FAILURE: u8 = 40;
const PROTOCOL_VERSION: u8 = 70;
const DTLS_1_0: [u8; 2] = [0xFE, 0xFF];
const DTLS_1_2: [u8; 2] = [0xFE, 0xFD];

/// What becomes of a datagram from where no association is.
#[derive(Debug, PartialEq, Eq)]
pub enum Greeting<'a> {
    /// Send the bytes in `scratch` back, and forget it.
    Answer,
    /// The client is there: a handshake may begin.
    Proved(ClientHello<'a>, Cookie),
}

/// Makes and checks cookies with one secret.
#[derive(Clone)]
pub struct Cookies {
    mac: Hmac<Sha256>,
}

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookies") // the secret stays here
    }
}

impl Cookies {
    /// Cookies of a secret that came from a good source of chance; it may sign other things, too.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        let mut block = [0; 64];
        block[..32].copy_from_slice(&secret);
        let mut mac = <Hmac<Sha256> as Mac>::new(&block.into());
        mac.update(b"DTLS cookie");
        Self { mac }
    }

    /// Judge a datagram of a client that has no association. Answers are shorter than the shortest ClientHello.
    pub fn greet<'a>(
        &self,
        datagram: &'a [u8],
        client: SocketAddr,
        now: u64,
        scratch: &mut Vec<u8>,
    ) -> Result<Greeting<'a>, Reason> {
        let hello = ClientHello::decode(datagram).ok_or(Reason::NoAssociation)?;
        if hello.version > DTLS_1_2 {
            write_record(scratch, ALERT, hello.sequence, &[FATAL, PROTOCOL_VERSION]);
            return Ok(Greeting::Answer);
        }
        match Cookie::try_from(hello.cookie) {
            Ok(cookie) if hello.message == SECOND && self.is_fresh(&cookie, &hello, client, now) => {
                Ok(Greeting::Proved(hello, cookie))
            }
            _ => {
                let request = hello_verify_request(&self.mint(&hello, client, now));
                write_record(scratch, HANDSHAKE, hello.sequence, &request);
                Ok(Greeting::Answer)
            }
        }
    }

    fn mint(&self, hello: &ClientHello<'_>, client: SocketAddr, now: u64) -> Cookie {
        let date = seconds(now).to_be_bytes();
        let mut cookie = [0; DATE + TAG];
        cookie[..DATE].copy_from_slice(&date);
        cookie[DATE..].copy_from_slice(&self.sign(date, hello, client).finalize().into_bytes()[..TAG]);
        cookie
    }

    /// Whether the cookie was made for this ClientHello of this client not long before `now`; in constant time.
    fn is_fresh(&self, cookie: &Cookie, hello: &ClientHello<'_>, client: SocketAddr, now: u64) -> bool {
        let [d0, d1, d2, d3, tag @ ..] = *cookie;
        let date = [d0, d1, d2, d3];
        let age = seconds(now).checked_sub(u32::from_be_bytes(date));
        self.sign(date, hello, client).verify_truncated_left(&tag).is_ok() && age.is_some_and(|age| age <= LIFETIME)
    }

    /// Over the date, the address, and what must be the same in both ClientHellos and is surely in the first fragment.
    fn sign(&self, date: [u8; DATE], hello: &ClientHello<'_>, client: SocketAddr) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&date);
        absorb_address(&mut mac, client);
        mac.update(&hello.version);
        mac.update(hello.random);
        mac.update(hello.session);
        mac
    }
}

/// An alert for a client with which nothing could be agreed.
pub fn write_handshake_failure(hello: &ClientHello<'_>, scratch: &mut Vec<u8>) {
    write_record(scratch, ALERT, hello.sequence, &[FATAL, HANDSHAKE_FAILURE]);
}

/// HelloVerifyRequest; it is always the first message of ours, and its version is 1.0 for clients of all versions.
fn hello_verify_request(cookie: &Cookie) -> [u8; HANDSHAKE_HEADER + 3 + DATE + TAG] {
    const BODY: u8 = (3 + DATE + TAG) as u8;
    let mut message = [0; HANDSHAKE_HEADER + BODY as usize];
    message[0] = HELLO_VERIFY_REQUEST;
    message[3] = BODY;
    message[11] = BODY;
    message[12..14].copy_from_slice(&DTLS_1_0);
    message[14] = (DATE + TAG) as u8;
    message[15..].copy_from_slice(cookie);
    message
}

/// A record of epoch 0 with the sequence number that the client's record had: nothing has to be remembered for it.
fn write_record(scratch: &mut Vec<u8>, kind: u8, sequence: [u8; 6], body: &[u8]) {
    scratch.clear();
    scratch.push(kind);
    scratch.extend(DTLS_1_0);
    scratch.extend([0, 0]);
    scratch.extend(sequence);
    scratch.extend((body.len() as u16).to_be_bytes());
    scratch.extend(body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtls::tests::hello;

    const NOW: u64 = 9_000_000_000_000;
    const MINUTE: u64 = 60_000_000_000;

    fn cookies() -> Cookies {
        Cookies::new([7; 32])
    }

    fn client(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// The cookie that a client at this address is given.
    fn given(address: &str) -> Vec<u8> {
        let mut scratch = Vec::new();
        let first = hello(DTLS_1_2, 0, b"");
        assert_eq!(cookies().greet(&first, client(address), NOW, &mut scratch), Ok(Greeting::Answer));
        scratch[28..].to_vec()
    }

    fn is_proved(cookies: &Cookies, datagram: &[u8], address: &str, now: u64) -> bool {
        matches!(cookies.greet(datagram, client(address), now, &mut Vec::new()), Ok(Greeting::Proved(..)))
    }

    #[test]
    fn a_stranger_gets_a_cookie_in_fewer_bytes_than_he_sent() {
        let mut scratch = Vec::new();
        let first = hello(DTLS_1_2, 0, b"");
        cookies().greet(&first, client("192.0.2.1:5"), NOW, &mut scratch).unwrap();
        let header =
            [22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 7, 0, 47, 3, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 35, 0xFE, 0xFF, 32];
        assert_eq!((&scratch[..28], scratch.len()), (&header[..], 60));
        assert!(scratch.len() < first.len());
    }

    #[test]
    fn who_brings_the_cookie_back_is_where_he_claims_to_be() {
        let second = hello(DTLS_1_2, 1, &given("192.0.2.1:5"));
        assert!(is_proved(&cookies(), &second, "192.0.2.1:5", NOW));
        assert!(is_proved(&cookies(), &second, "[::ffff:192.0.2.1]:5", NOW + 5 * MINUTE));
    }

    #[test]
    fn a_cookie_is_of_one_address_one_secret_and_five_minutes() {
        let second = hello(DTLS_1_2, 1, &given("192.0.2.1:5"));
        for other in ["192.0.2.1:6", "192.0.2.2:5", "[2001:db8::1]:5"] {
            assert!(!is_proved(&cookies(), &second, other, NOW));
        }
        assert!(!is_proved(&Cookies::new([8; 32]), &second, "192.0.2.1:5", NOW));
        for late in [NOW + 6 * MINUTE, NOW - MINUTE, 0, u64::MAX] {
            assert!(!is_proved(&cookies(), &second, "192.0.2.1:5", late));
        }
    }

    #[test]
    fn a_cookie_is_of_one_client_hello() {
        let second = hello(DTLS_1_2, 1, &given("192.0.2.1:5"));
        // The message's number, version, random, session and cookie.
        for at in (17..19).chain(25..25 + 34 + 3 + 33) {
            let mut changed = second.clone();
            changed[at] ^= 1;
            assert!(!is_proved(&cookies(), &changed, "192.0.2.1:5", NOW), "byte {at}");
        }
        let mut again = second.clone();
        again[10] ^= 1;
        assert!(is_proved(&cookies(), &again, "192.0.2.1:5", NOW), "sent again");
    }

    #[test]
    fn a_client_that_knows_no_current_version_is_told_so() {
        let mut scratch = Vec::new();
        let old = hello(DTLS_1_0, 0, b"");
        assert_eq!(cookies().greet(&old, client("192.0.2.1:5"), NOW, &mut scratch), Ok(Greeting::Answer));
        assert_eq!(scratch, [21, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 7, 0, 2, 2, 70]);
    }

    #[test]
    fn what_is_no_client_hello_is_not_answered() {
        let mut scratch = Vec::new();
        for datagram in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", &[22, 0xFE, 0xFD], &[0; 600]] {
            let greeted = cookies().greet(datagram, client("192.0.2.1:5"), NOW, &mut scratch);
            assert_eq!((greeted, scratch.len()), (Err(Reason::NoAssociation), 0));
        }
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert_eq!(format!("{:?}", cookies()), "Cookies");
    }
}
