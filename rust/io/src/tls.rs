//! TLS over a stream (RFC 8489, section 6.2.2): the socket's bytes become plain bytes, and back. Versions 1.2 and 1.3, without
//! renegotiation and early data; sessions are resumed from tickets, so that nothing is kept for who has gone.

use crate::certificates::{Certificate, Certificates};
use hairpin_proto::channel_data::{frame_length, Frame};
use rustix::fd::OwnedFd;
use rustix::net::{sendmsg, SendAncillaryBuffer, SendFlags};
use rustls::crypto::ring;
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

/// What is read from the socket at once: behind a record that was begun before, it becomes no more than `streams::READ` plain bytes.
pub const CIPHERTEXT: usize = 40 << 10;
/// What a client may say until the handshake is done: several times what one says that has everything.
const HANDSHAKE: usize = 16 << 10;
/// After so many plain bytes that are encrypted ahead of the socket, no other frame is.
const AHEAD: usize = 64 << 10;

/// What runs over TLS here (RFC 7443). A client that offers only other protocols is refused (RFC 7301, section 3.2), one that
/// offers none is served.
const PROTOCOLS: [&[u8]; 2] = [b"stun.turn", b"stun.nat-discovery"];

/// What a listener's handshakes are made with.
pub fn settings(certificates: Vec<Arc<Certificate>>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let resolver = Arc::new(Certificates(certificates));
    let mut settings = versions.with_no_client_auth().with_cert_resolver(resolver);
    settings.alpn_protocols = PROTOCOLS.map(|name| name.to_vec()).into();
    settings.ticketer = ring::Ticketer::new()?;
    settings.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    Ok(Arc::new(settings))
}

/// One client's TLS.
pub struct Tls {
    connection: ServerConnection,
    handshake: usize,
}

/// Plain bytes that came, and whether no more will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain {
    /// How many.
    pub count: usize,
    /// The client has closed its side.
    pub over: bool,
}

impl Tls {
    /// Before the handshake.
    pub fn new(settings: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut connection = ServerConnection::new(settings)?;
        connection.set_buffer_limit(None); // `send` has one
        Ok(Self { connection, handshake: 0 })
    }

    /// Plain bytes of what came from the socket.
    pub fn decrypt(&mut self, mut received: &[u8], plain: &mut [u8]) -> io::Result<Plain> {
        if self.is_handshaking() {
            self.handshake += received.len();
        }
        let mut count = 0;
        while !received.is_empty() {
            if self.connection.read_tls(&mut received)? == 0 {
                return Ok(Plain { count, over: true });
            }
            let state = self.connection.process_new_packets().map_err(io::Error::other)?;
            let end = count + state.plaintext_bytes_to_read();
            self.connection.reader().read_exact(&mut plain[count..end])?;
            count = end;
            if self.is_handshaking() && self.handshake > HANDSHAKE {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if state.peer_has_closed() {
                return Ok(Plain { count, over: true });
            }
        }
        Ok(Plain { count, over: false })
    }

    /// Encrypt bytes once what was encrypted before has gone out; how many.
    pub fn send(&mut self, socket: &OwnedFd, bytes: &[u8]) -> io::Result<usize> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut Socket(socket))?;
        }
        let some = &bytes[..bytes.len().min(AHEAD)];
        self.connection.writer().write_all(some)?;
        Ok(some.len())
    }

    /// The same with frames, each of which begins a record: there are clients that take a record for a message.
    pub fn send_frames(&mut self, socket: &OwnedFd, frames: &[u8]) -> io::Result<usize> {
        let mut taken = self.send(socket, &[])?;
        while taken < frames.len().min(AHEAD) {
            let rest = &frames[taken..];
            let frame = match frame_length(rest) {
                Frame::Length(length) => length.min(rest.len()),
                Frame::NeedMore | Frame::Broken => rest.len(),
            };
            self.connection.writer().write_all(&rest[..frame])?;
            taken += frame;
        }
        Ok(taken)
    }

    /// Whether the handshake is under way.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether something has to go out: of the handshake, or what was encrypted.
    pub fn is_waiting(&self) -> bool {
        self.connection.wants_write()
    }

    /// Say that no more comes.
    pub fn close(&mut self) {
        self.connection.send_close_notify();
    }
}

/// A socket, to be written without a signal where its other end has gone.
struct Socket<'a>(&'a OwnedFd);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg(self.0, records, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
