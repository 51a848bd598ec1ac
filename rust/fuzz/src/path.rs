//! The path of a packet, held against a model of leases: plain maps in which nothing is clever.

mod model;

use arbitrary::{Arbitrary, Unstructured};
use hairpin_proto::attributes::{code, Value};
use hairpin_proto::flow::{Connection, Family, FiveTuple, Transport};
use hairpin_proto::integrity::Signature;
use hairpin_proto::message::{method, Kind};
use hairpin_proto::nonce;
use hairpin_proto::path::{Arrival, Framing, Verdict};
use hairpin_proto::session::{Channel, Permission, Reach, Relay};
use hairpin_proto::table::{Command, Outcome, Table};
use hairpin_proto::writer::Writer;
use model::{Fate, Model};
use std::net::SocketAddr;

const CLIENTS: usize = 4;
const KEY: [u8; 16] = [7; 16];
const SECOND: u64 = 1_000_000_000;
const METHODS: [u16; 5] =
    [method::ALLOCATE, method::REFRESH, method::CREATE_PERMISSION, method::CHANNEL_BIND, method::BINDING];

/// Something that happens to the packet path; the first number says to which client.
#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Later(u16),
    Bytes(u8, &'a [u8]),
    ChannelData(u8, u8, &'a [u8]),
    Send(u8, u8, &'a [u8]),
    Request(u8, u8, Seal),
    FromPeer(u8, u8, u16),
    Order(u8, Order),
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq)]
enum Seal {
    None,
    ForgedNonce,
    WrongKey,
    Right,
}

#[derive(Arbitrary, Debug)]
enum Order {
    InstallKey,
    OpenRelay(bool, u16),
    ExtendRelay(bool, u16),
    CloseRelay(bool),
    Permit(u8, u8, u16),
    Forbid(u8),
    Bind(u8, u8, u16),
    Unbind(u8),
    Close(bool),
}

/// Whatever clients and peers send and Python commands: data goes where a lease, a permission and the index of relays let it and
/// nowhere else, whole; no request goes up without a nonce that is its client's, none as verified without the right key; and no
/// stranger gets three times what he sent.
pub fn path(data: &[u8]) {
    let mut world = World::new();
    let mut steps = Unstructured::new(data);
    while let Ok(step) = steps.arbitrary::<Step<'_>>() {
        world.take(step);
        if steps.is_empty() {
            break;
        }
    }
    world.end();
}

struct World {
    table: Table<()>,
    model: Model,
    now: u64,
    scratch: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { table: model::table(), model: Model::default(), now: SECOND, scratch: Vec::new() };
        world.connect();
        world
    }

    /// The last client comes by a stream, and comes again when it was cut.
    fn connect(&mut self) {
        let stream = &mut self.model.clients[CLIENTS - 1].slot;
        if stream.is_none() {
            *stream = self.table.insert(arrival(CLIENTS - 1, None).five_tuple, Some(Connection::Stream(0)));
        }
    }

    /// Every relay is given back.
    fn end(&mut self) {
        let slots: Vec<u32> = self.table.iter().map(|(slot, _)| slot).collect();
        assert!(slots.into_iter().all(|slot| self.table.remove(slot).is_some()));
        let relays = (0..CLIENTS).flat_map(|client| [false, true].map(|six| model::relay(client, six)));
        relays.for_each(|relay| assert_eq!(self.table.context.index.owner(relay), None));
    }

    fn take(&mut self, step: Step<'_>) {
        let client = |number: u8| usize::from(number) % CLIENTS;
        match step {
            Step::Later(tenths) => self.now += u64::from(tenths) * SECOND / 10,
            Step::Bytes(who, bytes) => self.any_bytes(client(who), bytes),
            Step::ChannelData(who, number, payload) => self.channel_data(client(who), number, payload),
            Step::Send(who, to, payload) => self.send(client(who), model::peer(to), payload),
            Step::Request(who, method, seal) => self.request(client(who), METHODS[usize::from(method) % 5], seal),
            Step::FromPeer(who, from, length) => self.from_peer(client(who), model::peer(from), length.into()),
            Step::Order(who, order) => self.order(client(who), order),
        }
    }

    fn arrival(&self, client: usize) -> Arrival {
        let known = arrival(client, None);
        let slot = match known.transport {
            Transport::Udp => self.table.find(&known.five_tuple),
            Transport::Tcp => self.model.clients[client].slot,
        };
        Arrival { slot, ..known }
    }

    /// What becomes of a packet; an answer to a datagram is not too large, and a payload lies within the packet.
    fn judge(&mut self, client: usize, bytes: &[u8]) -> (Fate, Vec<u8>) {
        let arrival = self.arrival(client);
        match self.table.from_client(&arrival, bytes, self.now, &mut self.scratch) {
            Verdict::Drop => (Fate::Dropped, Vec::new()),
            Verdict::Peer(_, sent) => (Fate::Peer(sent.peer), bytes[sent.payload].to_vec()),
            Verdict::Inside(flow, _, payload) => (Fate::Inside(flow), bytes[payload].to_vec()),
            Verdict::Ask(ask) => {
                self.model.asked(client, ask.flow);
                (Fate::Asked(ask.verified), Vec::new())
            }
            _ => {
                let (answer, question) = (self.scratch.len() + 28, bytes.len() + 28);
                assert!(arrival.transport == Transport::Tcp || answer <= 3 * question, "{answer} for {question}");
                (Fate::Answered, Vec::new())
            }
        }
    }

    fn any_bytes(&mut self, client: usize, bytes: &[u8]) {
        let now = self.now;
        match self.judge(client, bytes).0 {
            Fate::Asked(_) => panic!("bytes of chance have no nonce"),
            fate @ Fate::Peer(peer) => assert_eq!(self.model.fate(client, peer, now), fate),
            _ => {}
        }
    }

    fn channel_data(&mut self, client: usize, number: u8, payload: &[u8]) {
        let number = model::channel(number);
        let bytes = [&hairpin_proto::channel_data::header(number, payload.len())[..], payload].concat();
        let expected = match self.model.channel(client, number, self.now) {
            Some(peer) => self.model.fate(client, peer, self.now),
            None => Fate::Dropped,
        };
        self.compare(client, &bytes, payload, expected);
    }

    fn send(&mut self, client: usize, peer: SocketAddr, payload: &[u8]) {
        let mut bytes = Vec::new();
        let fits = Writer::new(&mut bytes, method::SEND, Kind::Indication, &[1; 12])
            .put(code::XOR_PEER_ADDRESS, &Value::Address(peer))
            .put(code::DATA, &Value::Bytes(payload))
            .finish(None, false);
        let expected = self.model.fate(client, peer, self.now);
        if fits {
            self.compare(client, &bytes, payload, expected);
        }
    }

    fn compare(&mut self, client: usize, bytes: &[u8], payload: &[u8], expected: Fate) {
        let (fate, carried) = self.judge(client, bytes);
        assert_eq!(fate, expected);
        assert!(fate == Fate::Dropped || carried == payload);
    }

    fn request(&mut self, client: usize, method: u16, seal: Seal) {
        let nonce = match seal {
            Seal::ForgedNonce => [b'A'; nonce::SIZE],
            _ => self.table.context.nonces.mint(arrival(client, None).proves(), self.now),
        };
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, method, Kind::Request, &[2; 12]);
        writer
            .put(code::USERNAME, &Value::Text("user"))
            .put(code::REALM, &Value::Text("realm"))
            .put(code::NONCE, &Value::Text(std::str::from_utf8(&nonce).expect("a nonce is text")));
        let key = [if seal == Seal::WrongKey { 8 } else { 7 }; 16];
        assert!(writer.finish((seal != Seal::None).then_some(Signature::Sha1(&key)), false));
        let (fate, known) = (self.judge(client, &bytes).0, self.model.clients[client].key);
        let expected = match (method, seal) {
            (method::BINDING, _) | (_, Seal::None | Seal::ForgedNonce) => Fate::Answered,
            (_, Seal::WrongKey) if known => Fate::Answered,
            _ => Fate::Asked(known),
        };
        assert_eq!(fate, expected);
    }

    fn from_peer(&mut self, client: usize, peer: SocketAddr, length: usize) {
        let Some(slot) = self.arrival(client).slot else { return };
        let expected = self.model.receives(client, peer, self.now).then(|| {
            let number = self.model.number(client, peer, self.now);
            number.map_or(Framing::Data(peer), Framing::Channel)
        });
        assert_eq!(self.table.from_peer(slot, peer, length, self.now), expected);
    }

    fn order(&mut self, client: usize, order: Order) {
        let Some(flow) = self.model.clients[client].flow else { return };
        let deadline = |tenths: u16| self.now + u64::from(tenths) * SECOND / 10;
        let command = match order {
            Order::InstallKey => Command::InstallKey(model::credentials(), 0),
            Order::OpenRelay(six, tenths) => {
                let relay = Relay { external: model::relay(client, six), deadline: deadline(tenths), socket: () };
                if !self.table.context.index.claim(relay.external, flow) {
                    return;
                }
                Command::OpenRelay(relay)
            }
            Order::ExtendRelay(six, tenths) => Command::ExtendRelay(family(six), deadline(tenths)),
            Order::CloseRelay(six) => Command::CloseRelay(family(six)),
            Order::Permit(peer, reach, tenths) => {
                let reach = [Reach::Outside, Reach::Inside, Reach::Both][usize::from(reach) % 3];
                let reaches = Box::new([(0, u16::MAX, reach)]);
                Command::Permit(Permission { ip: model::peer(peer).ip(), reaches, deadline: deadline(tenths) })
            }
            Order::Forbid(peer) => Command::Forbid(model::peer(peer).ip()),
            Order::Bind(number, peer, tenths) => {
                let (number, peer) = (model::channel(number), model::peer(peer));
                Command::BindChannel(Channel { number, peer, deadline: deadline(tenths) })
            }
            Order::Unbind(number) => Command::Unbind(model::channel(number)),
            Order::Close(disconnect) => Command::Close { disconnect },
        };
        self.model.command(client, &command);
        let outcome = self.table.apply(flow, command, self.now, &mut self.scratch);
        assert!(!matches!(outcome, Outcome::Stale), "a flow lives until it is closed");
        self.connect();
    }
}

fn family(six: bool) -> Family {
    if six {
        Family::V6
    } else {
        Family::V4
    }
}

/// The last client comes by a stream, the first two share an address.
fn arrival(client: usize, slot: Option<u32>) -> Arrival {
    let transport = if client == CLIENTS - 1 { Transport::Tcp } else { Transport::Udp };
    let five_tuple = FiveTuple { listener: 0, client: model::client(client), local: model::LISTENER };
    Arrival { five_tuple, transport, slot }
}
