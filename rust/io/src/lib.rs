//! Threads and sockets: each worker owns its table, its listeners and its relay sockets, and takes no lock on a packet's way.

pub mod association;
mod associations;
mod batch;
pub mod certificates;
pub mod clock;
mod control;
mod dtls;
mod errors;
pub mod events;
mod forward;
pub mod mailbox;
mod moving;
mod name;
mod opening;
mod outbox;
mod peers;
mod schedule;
mod sealed;
pub mod server;
pub mod sockets;
mod splice;
mod strangers;
mod stream;
mod streams;
mod tls;
mod token;
mod worker;
