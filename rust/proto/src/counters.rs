//! What is counted: packets and bytes of a client and of its peers, and why packets were dropped.

/// Packets and bytes that crossed one side of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// Bytes that came.
    pub received_bytes: u64,
    /// Packets that came.
    pub received_packets: u64,
    /// Bytes that went.
    pub sent_bytes: u64,
    /// Packets that went.
    pub sent_packets: u64,
}

impl Leg {
    /// Count a packet that came.
    pub fn receive(&mut self, bytes: usize) {
        self.received_bytes += bytes as u64;
        self.received_packets += 1;
    }

    /// Count what one read of a stream gave, if anything.
    pub fn receive_some(&mut self, bytes: usize) {
        if bytes > 0 {
            self.receive(bytes);
        }
    }

    /// Count what a stream took at once, if anything.
    pub fn send_some(&mut self, bytes: usize) {
        if bytes > 0 {
            self.send(bytes);
        }
    }

    /// Take back a packet that turned out to be another's.
    pub fn unreceive(&mut self, bytes: usize) {
        self.received_bytes = self.received_bytes.saturating_sub(bytes as u64);
        self.received_packets = self.received_packets.saturating_sub(1);
    }

    /// Count a packet that goes.
    pub fn send(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
        self.sent_packets += 1;
    }

    /// Take back a packet that did not go.
    pub fn unsend(&mut self, bytes: usize) {
        self.sent_bytes = self.sent_bytes.saturating_sub(bytes as u64);
        self.sent_packets = self.sent_packets.saturating_sub(1);
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            received_bytes: self.received_bytes.saturating_sub(before.received_bytes),
            received_packets: self.received_packets.saturating_sub(before.received_packets),
            sent_bytes: self.sent_bytes.saturating_sub(before.sent_bytes),
            sent_packets: self.sent_packets.saturating_sub(before.sent_packets),
        }
    }

    fn add(&mut self, other: &Self) {
        self.received_bytes += other.received_bytes;
        self.received_packets += other.received_packets;
        self.sent_bytes += other.sent_bytes;
        self.sent_packets += other.sent_packets;
    }
}

/// The traffic of one client, or of all strangers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Between the server's socket and the client, STUN and ChannelData headers counted in.
    pub client: Leg,
    /// Payloads between its relays and peers, be they elsewhere or sessions of this server: what the client's permissions, leases
    /// and rate let through.
    pub peers: Leg,
    /// The client's packets that were not carried on.
    pub errors: u64,
}

impl Counters {
    /// What was counted since these figures were read.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            client: self.client.since(&before.client),
            peers: self.peers.since(&before.peers),
            errors: self.errors.saturating_sub(before.errors),
        }
    }

    /// Add another's figures.
    pub fn add(&mut self, other: &Self) {
        self.client.add(&other.client);
        self.peers.add(&other.peers);
        self.errors += other.errors;
    }
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// Why a packet was not carried on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason { $($(#[doc = $doc])* $name,)* }

        impl Reason {
            /// All reasons, in order.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The reason as metrics name it.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$name => $text,)* }
            }
        }
    };
}

reasons! {
    /// Neither STUN nor ChannelData, or broken.
    Malformed = "malformed",
    /// A method, class or indication that a server does not expect.
    Unexpected = "unexpected",
    /// Data from a client that has no allocation.
    NoAllocation = "no_allocation",
    /// A channel that is not bound, or lapsed.
    NoChannel = "no_channel",
    /// No permission for the peer, or lapsed.
    NoPermission = "no_permission",
    /// A peer of this host that is no live relay.
    NoRelay = "no_relay",
    /// Over the session's bytes a second.
    OverRate = "over_rate",
    /// Over the requests a second of a session or a user.
    OverRequests = "over_requests",
    /// Over the answers a second of a source, or its connections.
    OverSource = "over_source",
    /// The queue to the rules was full.
    QueueFull = "queue_full",
    /// The ring between two workers was full.
    RingFull = "ring_full",
    /// The kernel refused to send it.
    Refused = "refused",
    /// The answer would be more than three times a stranger's datagram.
    Disproportionate = "disproportionate",
    /// Larger than a datagram to the client can be.
    TooLarge = "too_large",
    /// A TCP client that reads too slowly.
    SlowReader = "slow_reader",
    /// A mobile client whose connection is over, and that has not come back yet.
    Away = "away",
    /// A TLS handshake or record that will not do.
    Tls = "tls",
    /// A TLS handshake that did not come to its end in time.
    TlsStalled = "tls_stalled",
    /// A header of the PROXY protocol that will not do.
    ProxyHeader = "proxy_header",
    /// Neither of a DTLS association nor a ClientHello.
    NoAssociation = "no_association",
    /// A DTLS handshake that came to nothing.
    Dtls = "dtls",
    /// A DTLS handshake that did not come to its end in time.
    DtlsStalled = "dtls_stalled",
}

/// How many packets were dropped, by reason.
#[derive(Clone, Copy, Debug)]
pub struct Drops([u64; Reason::ALL.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self([0; Reason::ALL.len()])
    }
}

impl Drops {
    /// Count one.
    pub fn count(&mut self, reason: Reason) {
        self.0[reason as usize] += 1;
    }

    /// Reason and figure, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|&reason| (reason, self.0[reason as usize]))
    }
}
