//! A server's threads: bound first, then started; commands find the worker that owns the flow.

use crate::association::Settings;
use crate::certificates::Certificate;
use crate::events::Event;
use crate::events::Events;
use crate::mailbox::{Letter, Mailbox, PeerCommand};
use crate::schedule;
use crate::sockets::{self, Bound, RelaySocket};
use crate::tls;
pub use crate::worker::Proxies;
use crate::worker::{Listener, Security, Shared, Worker};
use hairpin_proto::flow::{Flow, Transport, MAX_WORKERS};
use hairpin_proto::nonce::Nonces;
use hairpin_proto::session::Relay;
use hairpin_proto::table::{Command, Context};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Worker threads and the way to them.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<(SocketAddr, usize)>,
    transports: Vec<Transport>,
    waiting: Vec<Worker>,
    threads: Vec<JoinHandle<()>>,
    held: bool,
    reserved: HashMap<SocketAddr, RelaySocket>,
}

/// What to listen on: UDP or TCP; with certificates DTLS or TLS, and TCP without it where that is said.
pub struct Wanted {
    /// UDP or TCP.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// What clients are shown; none without DTLS or TLS.
    pub certificates: Vec<Arc<Certificate>>,
    /// Whether clients may speak TCP without TLS, too.
    pub plain: bool,
    /// Whose connections begin with a header of the PROXY protocol.
    pub proxies: Proxies,
}

/// Listeners that are bound and not served yet.
pub struct Listeners {
    bound: Vec<(Wanted, Bound)>,
    workers: usize,
}

impl Listeners {
    /// Bind all addresses for all workers. On failure the address that could not be bound comes with the error.
    pub fn bind(wanted: Vec<Wanted>, workers: usize) -> Result<Self, (SocketAddr, io::Error)> {
        let workers = workers.clamp(1, MAX_WORKERS);
        let bound = wanted.into_iter().map(|wanted| {
            match sockets::listen(wanted.address, wanted.transport == Transport::Tcp, workers) {
                Ok(bound) => Ok((wanted, bound)),
                Err(error) => Err((wanted.address, error)),
            }
        });
        Ok(Self { bound: bound.collect::<Result<_, _>>()?, workers })
    }

    /// The addresses, with the ports that the kernel chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|(_, bound)| bound.address).collect()
    }
}

impl Server {
    /// Workers over bound listeners; they serve from `start` on.
    pub fn new(context: Context, listeners: Listeners) -> io::Result<Self> {
        let mailboxes = (0..listeners.workers).map(|_| Mailbox::new()).collect::<io::Result<Vec<_>>>()?;
        let shared = Arc::new(Shared { context: Arc::new(context), events: Events::new()?, mailboxes });
        let transports = listeners.bound.iter().map(|(wanted, _)| wanted.transport).collect();
        let known = listeners.bound.iter().map(|(_, bound)| (bound.address, bound.receive_buffer)).collect();
        let mut shares: Vec<Vec<Listener>> = (0..listeners.workers).map(|_| Vec::new()).collect();
        for ((wanted, bound), index) in listeners.bound.into_iter().zip(0..) {
            let Wanted { transport, certificates, plain, proxies, .. } = wanted;
            let security = security(transport, certificates)?;
            for (share, socket) in shares.iter_mut().zip(bound.sockets) {
                let (address, security, proxies) = (bound.address, security.clone(), Arc::clone(&proxies));
                share.push(Listener { index, address, transport, security, plain, proxies, socket });
            }
        }
        let waiting = shares
            .into_iter()
            .zip(0u32..)
            .map(|(share, number)| Worker::new(Arc::clone(&shared), number as usize, share));
        let waiting = waiting.collect::<io::Result<Vec<_>>>()?;
        let (threads, reserved) = (Vec::new(), HashMap::new());
        Ok(Self { shared, listeners: known, transports, waiting, threads, held: false, reserved })
    }

    /// Each listener's address, and the bytes that the kernel holds for it.
    pub fn listeners(&self) -> &[(SocketAddr, usize)] {
        &self.listeners
    }

    /// Serve.
    pub fn start(&mut self) -> io::Result<()> {
        for (worker, number) in self.waiting.drain(..).zip(0..) {
            let thread = std::thread::Builder::new().name(format!("hairpin-{number}")).spawn(move || run(worker))?;
            self.threads.push(thread);
        }
        Ok(())
    }

    /// Tell all threads to stop, and wait for them.
    pub fn stop(&mut self) {
        self.waiting.clear();
        self.shared.mailboxes.iter().for_each(|mailbox| mailbox.post(Letter::Stop));
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so on stderr; stopping goes on.
            let _ = thread.join();
        }
    }

    /// Readable while there are events.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.events.fd()
    }

    /// At most `limit` events.
    pub fn drain(&self, limit: usize) -> Vec<Event> {
        self.shared.events.drain(limit)
    }

    /// Post a command to the flow's owner; a token that is not 0 is acknowledged, also where there is no such worker.
    pub fn post(&self, flow: Flow, command: Command<RelaySocket>, token: u64) {
        if !self.put(flow, Letter::Command(flow, command, token)) && token != 0 {
            self.shared.events.tell(Event::Acknowledged(token, None));
        }
    }

    /// Have a session go to the flow where it is expected, whosever that is.
    pub fn move_session(&self, flow: Flow, to: Flow) {
        for (flow, letter) in [(to, Letter::Await(to)), (flow, Letter::Depart(flow, to))] {
            if let Some(mailbox) = self.shared.mailboxes.get(flow.worker()) {
                mailbox.post(letter);
            }
        }
    }

    /// Wake no worker for a command until `release`: to wake one costs more than what it is woken for.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Have the workers carry out what they were told since `hold`.
    pub fn release(&mut self) {
        self.held = false;
        self.shared.mailboxes.iter().for_each(Mailbox::deliver);
    }

    /// Ask every worker for its figures.
    pub fn totals(&self, token: u64) {
        self.shared.mailboxes.iter().for_each(|mailbox| mailbox.post(Letter::Totals(token)));
    }

    /// What makes the nonces of all workers.
    pub fn nonces(&self) -> &Nonces {
        &self.shared.context.nonces
    }

    /// Requests a second of a source, a session and a user; 0 for no limit.
    pub fn set_rates(&self, source: u32, session: u32, user: u32) {
        self.shared.context.sources.set_rate(source);
        self.shared.context.users.set_rate(user);
        self.shared.mailboxes.iter().for_each(|mailbox| mailbox.post(Letter::SessionRate(session)));
    }

    /// Show other certificates in a listener's new handshakes.
    pub fn set_certificates(&self, listener: u16, certificates: Vec<Arc<Certificate>>) -> io::Result<()> {
        let transport = self.transports.get(usize::from(listener)).ok_or(io::ErrorKind::NotFound)?;
        let security = security(*transport, certificates)?;
        let letter = || Letter::Security(listener, security.clone());
        self.shared.mailboxes.iter().for_each(|mailbox| mailbox.post(letter()));
        Ok(())
    }

    /// Bind a relayed transport address now, given as what is bound and what is announced, and hand it to the flow's owner;
    /// one that is reserved is bound already. With `reserve` the next port is bound as well, and kept.
    pub fn open_relay(
        &mut self,
        flow: Flow,
        (bind, external): (SocketAddr, SocketAddr),
        deadline: u64,
        reserve: bool,
    ) -> io::Result<()> {
        let sibling = if reserve { Some(bind_next(bind)?) } else { None };
        let socket = match self.reserved.remove(&bind) {
            Some(socket) => socket,
            None => RelaySocket::bind(bind)?,
        };
        if !self.shared.context.index.claim(external, flow) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        self.reserved.extend(sibling);
        self.post(flow, Command::OpenRelay(Relay { external, deadline, socket }), 0);
        Ok(())
    }

    /// The same for TCP: it listens at once, and has so many connections at most.
    pub fn listen(&self, flow: Flow, bind: SocketAddr, external: SocketAddr, lease: (u64, usize)) -> io::Result<()> {
        let socket = RelaySocket::listen(bind)?;
        if !self.shared.context.index.claim(external, flow) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let (deadline, connections) = lease;
        self.tell(flow, PeerCommand::Listen(Relay { external, deadline, socket }, connections));
        Ok(())
    }

    /// Post a command about TCP connections to the flow's owner.
    pub fn tell(&self, flow: Flow, command: PeerCommand) {
        self.put(flow, Letter::Peers(flow, command));
    }

    /// False where there is no such worker.
    fn put(&self, flow: Flow, letter: Letter) -> bool {
        match self.shared.mailboxes.get(flow.worker()) {
            Some(mailbox) if self.held => mailbox.drop_in(letter),
            Some(mailbox) => mailbox.post(letter),
            None => return false,
        }
        true
    }

    /// Close the socket of a port that was reserved.
    pub fn unreserve(&mut self, bind: SocketAddr) {
        self.reserved.remove(&bind);
    }
}

/// The socket of the port after this one, by its address.
fn bind_next(bind: SocketAddr) -> io::Result<(SocketAddr, RelaySocket)> {
    let port = bind.port().checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
    let next = SocketAddr::new(bind.ip(), port);
    Ok((next, RelaySocket::bind(next)?))
}

fn security(transport: Transport, certificates: Vec<Arc<Certificate>>) -> io::Result<Security> {
    match transport {
        _ if certificates.is_empty() => Ok(Security::None),
        Transport::Tcp => tls::settings(certificates).map(Security::Tls).map_err(io::Error::other),
        Transport::Udp => Settings::new(certificates).map(Security::Dtls).map_err(io::Error::other),
    }
}

/// A worker that panics would leave its clients without service and unnoticed; the process ends instead, and is started again.
fn run(worker: Worker) {
    schedule::ask_for_short_turns();
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run())).is_err() {
        std::process::abort();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
