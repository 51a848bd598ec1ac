//! The workers as Python sees them, and the commands that `Core` and `Table` have in common.

use crate::address::Address;
use crate::listener::{shown, Listener, Shown};
use crate::options::Options;
use hairpin_io::mailbox::PeerCommand;
use hairpin_io::server::{Listeners, Server};
use hairpin_io::sockets::RelaySocket;
use hairpin_proto::flow::Flow;
use hairpin_proto::nonce::Nonces;
use hairpin_proto::table::Command;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

/// Worker threads with their listeners, bound at once (OSError) and served from `start` on.
#[pyclass(module = "hairpin._core")]
pub struct Core {
    server: Server,
}

impl Core {
    fn post(&self, flow: Flow, command: Command<RelaySocket>, token: u64) {
        self.server.post(flow, command, token);
    }

    fn relay(&mut self, flow: Flow, relay: (SocketAddr, SocketAddr), deadline: u64, reserve: bool) -> PyResult<()> {
        Ok(self.server.open_relay(flow, relay, deadline, reserve)?)
    }

    fn let_go(&mut self, bind: SocketAddr) {
        self.server.unreserve(bind);
    }

    fn let_move(&self, flow: Flow, to: Flow) {
        self.server.move_session(flow, to);
    }

    fn listener(&self, flow: Flow, bind: SocketAddr, external: SocketAddr, lease: (u64, usize)) -> PyResult<()> {
        Ok(self.server.listen(flow, bind, external, lease)?)
    }

    fn tell(&self, flow: Flow, command: PeerCommand) {
        self.server.tell(flow, command);
    }

    fn ask_totals(&self, token: u64) {
        self.server.totals(token);
    }

    fn set_held(&mut self, held: bool) {
        if held {
            self.server.hold();
        } else {
            self.server.release();
        }
    }

    fn nonces(&self) -> &Nonces {
        self.server.nonces()
    }

    fn change_rates(&self, source: u32, session: u32, user: u32) {
        self.server.set_rates(source, session, user);
    }

    fn events(&self, limit: usize) -> Vec<hairpin_io::events::Event> {
        self.server.drain(limit)
    }
}

/// One set of commands, for sockets (`Core`) and in memory (`Table`): PyO3 wants all methods of a class in one place.
macro_rules! commands {
    ($class:ident { $($own:tt)* }) => {
        #[pymethods]
        impl $class {
            $($own)*

            fn drain(&mut self, py: Python<'_>, limit: usize) -> PyResult<Vec<Py<PyAny>>> {
                self.events(limit).into_iter().map(|event| $crate::events::to_python(py, event)).collect()
            }

            fn hold(&mut self) {
                self.set_held(true);
            }

            fn release(&mut self) {
                self.set_held(false);
            }

            #[pyo3(signature = (flow, request, attributes, key=None))]
            fn reply(
                &mut self,
                flow: u64,
                request: &$crate::message::Message,
                attributes: $crate::message::Attributes<'_>,
                key: Option<&[u8]>,
            ) -> PyResult<()> {
                let bytes = request.answered(&attributes, key)?;
                self.post($crate::options::flow(flow)?, Command::Reply(bytes), 0);
                Ok(())
            }

            fn challenge(&mut self, flow: u64, message: &$crate::message::Message) -> PyResult<()> {
                self.post($crate::options::flow(flow)?, Command::Challenge(message.0.to_owned()), 0);
                Ok(())
            }

            fn install_key(
                &mut self,
                flow: u64,
                username: &str,
                algorithm: u16,
                key: &[u8],
                rate: u64,
            ) -> PyResult<()> {
                let credentials = $crate::options::credentials(username, algorithm, key);
                self.post($crate::options::flow(flow)?, Command::InstallKey(credentials, rate), 0);
                Ok(())
            }

            #[pyo3(signature = (flow, bind, external, deadline, reserve=false))]
            fn open_relay(
                &mut self,
                flow: u64,
                bind: &Address,
                external: &Address,
                deadline: u64,
                reserve: bool,
            ) -> PyResult<()> {
                self.relay($crate::options::flow(flow)?, (bind.0, external.0), deadline, reserve)
            }

            fn unreserve(&mut self, bind: &Address) {
                self.let_go(bind.0);
            }

            fn listen(
                &mut self,
                flow: u64,
                bind: &Address,
                external: &Address,
                deadline: u64,
                connections: usize,
            ) -> PyResult<()> {
                self.listener($crate::options::flow(flow)?, bind.0, external.0, (deadline, connections))
            }

            fn connect(&mut self, flow: u64, peer: &Address, reach: u8) -> PyResult<()> {
                let reach = $crate::options::reach(reach)?;
                self.tell($crate::options::flow(flow)?, PeerCommand::Connect(peer.0, reach));
                Ok(())
            }

            fn disconnect(&mut self, flow: u64, peer: &Address) -> PyResult<()> {
                self.tell($crate::options::flow(flow)?, PeerCommand::Disconnect(peer.0));
                Ok(())
            }

            fn join(
                &mut self,
                flow: u64,
                answer: &$crate::message::Message,
                owner: u64,
                peer: &Address,
            ) -> PyResult<()> {
                let (flow, owner) = ($crate::options::flow(flow)?, $crate::options::flow(owner)?);
                self.tell(flow, PeerCommand::Join(answer.0.bytes().into(), owner, peer.0));
                Ok(())
            }

            fn send(&mut self, flow: u64, message: &$crate::message::Message) -> PyResult<()> {
                self.post($crate::options::flow(flow)?, Command::Reply(message.0.bytes().into()), 0);
                Ok(())
            }

            fn extend_relay(&mut self, flow: u64, version: u8, deadline: u64) -> PyResult<()> {
                let family = $crate::options::family(version)?;
                self.post($crate::options::flow(flow)?, Command::ExtendRelay(family, deadline), 0);
                Ok(())
            }

            fn close_relay(&mut self, flow: u64, version: u8) -> PyResult<()> {
                let family = $crate::options::family(version)?;
                self.post($crate::options::flow(flow)?, Command::CloseRelay(family), 0);
                Ok(())
            }

            fn permit(
                &mut self,
                flow: u64,
                ip: &str,
                reaches: Vec<(u16, u16, u8)>,
                deadline: u64,
            ) -> PyResult<()> {
                let permission = $crate::options::permission(ip, &reaches, deadline)?;
                self.post($crate::options::flow(flow)?, Command::Permit(permission), 0);
                Ok(())
            }

            fn forbid(&mut self, flow: u64, ip: &str) -> PyResult<()> {
                self.post($crate::options::flow(flow)?, Command::Forbid($crate::address::parse_ip(ip)?), 0);
                Ok(())
            }

            fn bind_channel(&mut self, flow: u64, number: u16, peer: &Address, deadline: u64) -> PyResult<()> {
                let channel = $crate::options::channel(number, peer, deadline);
                self.post($crate::options::flow(flow)?, Command::BindChannel(channel), 0);
                Ok(())
            }

            fn unbind(&mut self, flow: u64, number: u16) -> PyResult<()> {
                self.post($crate::options::flow(flow)?, Command::Unbind(number), 0);
                Ok(())
            }

            fn keep(&mut self, flow: u64) -> PyResult<()> {
                self.post($crate::options::flow(flow)?, Command::Keep, 0);
                Ok(())
            }

            fn expect(&mut self, flow: u64) -> PyResult<()> {
                self.post($crate::options::flow(flow)?, Command::Expect, 0);
                Ok(())
            }

            fn move_session(&mut self, flow: u64, to: u64) -> PyResult<()> {
                self.let_move($crate::options::flow(flow)?, $crate::options::flow(to)?);
                Ok(())
            }

            fn close(&mut self, flow: u64, disconnect: bool, token: u64) -> PyResult<()> {
                self.post($crate::options::flow(flow)?, Command::Close { disconnect }, token);
                Ok(())
            }

            fn counters(&mut self, flow: u64, token: u64) -> PyResult<()> {
                self.post($crate::options::flow(flow)?, Command::Counters, token);
                Ok(())
            }

            fn offer_anonymity(&mut self, offered: bool) {
                self.nonces().offer_anonymity(offered);
            }

            fn set_rates(&mut self, source: u32, session: u32, user: u32) {
                self.change_rates(source, session, user);
            }

            fn totals(&mut self, token: u64) {
                self.ask_totals(token);
            }
        }
    };
}
pub(crate) use commands;

commands!(Core {
    #[new]
    fn new(options: &Options, listeners: Vec<PyRef<'_, Listener>>, workers: usize) -> PyResult<Self> {
        let bound = Listeners::bind(listeners.iter().map(|listener| listener.wanted()).collect(), workers);
        let bound = bound.map_err(|(address, error)| {
            PyOSError::new_err((error.raw_os_error(), error.to_string(), address.to_string()))
        })?;
        let context = options.context(&bound.addresses());
        Ok(Self { server: Server::new(context, bound)? })
    }

    fn listeners(&self) -> Vec<(Address, usize)> {
        self.server.listeners().iter().map(|(address, buffer)| (Address::from(*address), *buffer)).collect()
    }

    fn set_certificates(&self, listener: u16, certificates: Shown<'_>) -> PyResult<()> {
        Ok(self.server.set_certificates(listener, shown(&certificates))?)
    }

    fn start(&mut self) -> PyResult<()> {
        Ok(self.server.start()?)
    }

    fn stop(&mut self, py: Python<'_>) {
        py.detach(|| self.server.stop());
    }

    fn fileno(&self) -> i32 {
        self.server.fd().as_raw_fd()
    }
});
