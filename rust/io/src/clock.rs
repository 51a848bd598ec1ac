//! The one clock: CLOCK_MONOTONIC in nanoseconds, the same that Python's `time.monotonic_ns` reads.

use rustix::time::{clock_gettime, ClockId};

/// Nanoseconds now.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
