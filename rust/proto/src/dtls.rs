//! DTLS as far as it is read without keys: the records of a datagram, and a ClientHello (RFC 6347, sections 4.1 and 4.2.2).

/// The largest plaintext of a record.
pub const LARGEST_PLAINTEXT: usize = 1 << 14;
/// What encryption may add to it.
pub const LARGEST_EXPANSION: usize = 2048;
/// A record's header.
pub const RECORD_HEADER: usize = 13;
/// A handshake message's header.
pub const HANDSHAKE_HEADER: usize = 12;
/// The content type of handshake messages.
pub const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;

/// The length of the first record in these bytes, with its header; None where it is not whole, or longer than one may be.
pub fn record_length(bytes: &[u8]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes(*bytes.get(11..)?.first_chunk()?));
    let whole = RECORD_HEADER + length;
    (length <= LARGEST_PLAINTEXT + LARGEST_EXPANSION && whole <= bytes.len()).then_some(whole)
}

/// Whether a record is encrypted: epoch 0 has no keys.
pub fn is_encrypted(record: &[u8]) -> bool {
    record.get(3..5) != Some(&[0, 0])
}

/// The beginning of a ClientHello: the first fragment of one that is cut has all that is judged without memory, the cookie too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The record's sequence number.
    pub sequence: [u8; 6],
    /// The handshake message's number.
    pub message: u16,
    /// The newest version that the client speaks; they count downwards.
    pub version: [u8; 2],
    /// The client's random.
    pub random: &'a [u8; 32],
    /// The session that the client wants to resume.
    pub session: &'a [u8],
    /// What it brought back.
    pub cookie: &'a [u8],
    rest: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// The ClientHello that begins in a record.
    pub fn decode(record: &'a [u8]) -> Option<Self> {
        let mut bytes = Reader(&record[..record_length(record)?]);
        let [kind, major, _, epoch @ ..] = bytes.array::<5>()?;
        let sequence = bytes.array()?;
        bytes.take(2)?; // the record's length, by which it was cut
        let message = bytes.first_fragment(CLIENT_HELLO)?;
        let hello = Self {
            sequence,
            message,
            version: bytes.array()?,
            random: bytes.take(32)?.first_chunk()?,
            session: bytes.short()?,
            cookie: bytes.short()?,
            rest: bytes.0,
        };
        ((kind, major, epoch, hello.version[0]) == (HANDSHAKE, 0xFE, [0, 0], 0xFE)).then_some(hello)
    }

    /// Whether it offers one of these cipher suites, as far as its first fragment tells.
    pub fn may_speak(&self, suites: &[u16]) -> bool {
        let offered = Reader(self.rest).long();
        offered
            .is_none_or(|offered| offered.chunks_exact(2).any(|one| suites.iter().any(|own| own.to_be_bytes() == one)))
    }

    /// The server that the client names (RFC 6066, section 3), where that is in the first fragment.
    pub fn server_name(&self) -> Option<&'a str> {
        let mut bytes = Reader(self.rest);
        bytes.long()?; // cipher suites
        bytes.short()?; // compression methods
        let mut extensions = Reader(bytes.long()?);
        loop {
            let (kind, value) = (u16::from_be_bytes(extensions.array()?), extensions.long()?);
            if kind == SERVER_NAME {
                let mut names = Reader(Reader(value).long()?);
                let ([0], name) = (names.array()?, names.long()?) else { return None };
                return std::str::from_utf8(name).ok();
            }
        }
    }
}

/// Takes bytes from the front, never more than there are.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    /// A vector behind its length of one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let [length] = self.array()?;
        self.take(length.into())
    }

    /// A vector behind its length of two bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.array()?;
        self.take(u16::from_be_bytes(length).into())
    }

    /// The header of a handshake message of this kind, whose first fragment is what is left; returns its number.
    fn first_fragment(&mut self, kind: u8) -> Option<u16> {
        let [found, length @ ..] = self.array::<4>()?;
        let number = self.array()?;
        let (offset, fragment) = (self.array::<3>()?, self.array::<3>()?);
        let fits = u32::from_be_bytes([0, fragment[0], fragment[1], fragment[2]]) as usize == self.0.len();
        (found == kind && offset == [0; 3] && fragment <= length && fits).then(|| u16::from_be_bytes(number))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ClientHello with a server name, in a record that has the sequence number 7.
    pub(crate) fn hello(version: [u8; 2], message: u16, cookie: &[u8]) -> Vec<u8> {
        let mut body = version.to_vec();
        body.extend([9; 32]);
        body.extend([2, 5, 6]);
        body.push(cookie.len() as u8);
        body.extend(cookie);
        body.extend([0, 4, 0xC0, 0x2B, 0xCC, 0xA9, 1, 0]);
        body.extend([0, 20, 0, 23, 0, 0, 0, 0, 0, 12, 0, 10, 0, 0, 7]);
        body.extend(b"a.b.org");
        let length = (body.len() as u32).to_be_bytes();
        let mut message_bytes = vec![CLIENT_HELLO, length[1], length[2], length[3]];
        message_bytes.extend(message.to_be_bytes());
        message_bytes.extend([0, 0, 0, length[1], length[2], length[3]]);
        message_bytes.extend(body);
        record(HANDSHAKE, 0, &message_bytes)
    }

    fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 0xFE, 0xFD];
        record.extend(epoch.to_be_bytes());
        record.extend([0, 0, 0, 0, 0, 7]);
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    }

    #[test]
    fn a_record_is_as_long_as_it_says_and_no_longer_than_one_may_be() {
        let plain = record(22, 0, b"plain");
        assert_eq!(record_length(&[&plain[..], b"more"].concat()), Some(plain.len()));
        assert!((0..plain.len()).all(|cut| record_length(&plain[..cut]).is_none()));
        let most = LARGEST_PLAINTEXT + LARGEST_EXPANSION;
        assert_eq!(record_length(&record(23, 1, &vec![0; most])), Some(RECORD_HEADER + most));
        assert_eq!(record_length(&record(23, 1, &vec![0; most + 1])), None);
    }

    #[test]
    fn a_record_of_the_first_epoch_is_not_encrypted() {
        let epochs = [0, 1, 0x100].map(|epoch| is_encrypted(&record(22, epoch, b"")));
        assert_eq!(epochs, [false, true, true]);
    }

    #[test]
    fn a_client_hello_is_read_whole() {
        let datagram = hello([0xFE, 0xFD], 1, b"cookie");
        let hello = ClientHello::decode(&datagram).unwrap();
        assert_eq!((hello.sequence, hello.message, hello.version), ([0, 0, 0, 0, 0, 7], 1, [0xFE, 0xFD]));
        assert_eq!((hello.random, hello.session, hello.cookie), (&[9; 32], &[5, 6][..], &b"cookie"[..]));
        assert_eq!(hello.server_name(), Some("a.b.org"));
        assert_eq!([0xC02B, 0xCCA9, 0x2BCC].map(|suite| hello.may_speak(&[1, suite])), [true, true, false]);
    }

    #[test]
    fn a_first_fragment_is_enough_where_it_has_the_cookie() {
        let whole = hello([0xFE, 0xFD], 1, b"cookie");
        let fragment = |length: usize| {
            let mut record = whole[..RECORD_HEADER + HANDSHAKE_HEADER + length].to_vec();
            record[11..13].copy_from_slice(&((HANDSHAKE_HEADER + length) as u16).to_be_bytes());
            record[22..25].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
            record
        };
        let after_cookie = 2 + 32 + 3 + 7;
        assert!((0..after_cookie).all(|length| ClientHello::decode(&fragment(length)).is_none()));
        for length in after_cookie..whole.len() - RECORD_HEADER - HANDSHAKE_HEADER {
            let record = fragment(length);
            let hello = ClientHello::decode(&record).unwrap();
            assert_eq!((hello.cookie, hello.server_name()), (&b"cookie"[..], None));
            assert!(hello.may_speak(&[0xC02B]));
        }
    }

    #[test]
    fn what_is_cut_or_no_beginning_is_no_client_hello() {
        let datagram = hello([0xFE, 0xFD], 0, b"");
        assert!((0..datagram.len()).all(|cut| ClientHello::decode(&datagram[..cut]).is_none()));
        // Kind and version of the record, epoch, kind of the message, where the fragment begins and how long it is, version.
        for at in [0, 1, 3, 4, 13, 19, 20, 21, 22, 23, 24, 25] {
            let mut changed = datagram.clone();
            changed[at] ^= 1;
            assert!(ClientHello::decode(&changed).is_none(), "byte {at}");
        }
    }

    #[test]
    fn any_changed_byte_is_read_without_a_panic() {
        let datagram = hello([0xFE, 0xFD], 1, b"cookie");
        for at in 0..datagram.len() {
            for value in 0..=255 {
                let mut changed = datagram.clone();
                changed[at] = value;
                if let Some(hello) = ClientHello::decode(&changed) {
                    hello.server_name();
                }
            }
        }
    }
}
