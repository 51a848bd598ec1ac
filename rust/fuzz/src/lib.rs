//! What must hold for any bytes: each function takes some and panics where it does not.
//!
//! A fuzzer looks for bytes that break them (`make fuzz`); what it found worth keeping stands in `corpus/` and is replayed by
//! `make test`, so that nothing comes back.
#![forbid(unsafe_code)]

mod framing;
mod greeting;
mod message;
mod path;
mod proxy;

pub use framing::{channel_data, framing};
pub use greeting::greeting;
pub use message::message;
pub use path::path;
pub use proxy::proxy;
