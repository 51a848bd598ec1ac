//! The protocol, pure: STUN and TURN on the wire, the table of live entries, and the path of a packet through it.
//!
//! No I/O, no clock, no chance of its own, no unsafe.
#![forbid(unsafe_code)]

mod answers;
pub mod attributes;
mod binding;
pub mod channel_data;
pub mod claim;
pub mod counters;
pub mod discovery;
pub mod dtls;
pub mod dtls_cookie;
pub mod flow;
pub mod icmp;
pub mod index;
pub mod integrity;
pub mod limiter;
pub mod message;
pub mod mobility;
pub mod nonce;
pub mod path;
pub mod proxy;
pub mod session;
pub mod table;
pub mod writer;
