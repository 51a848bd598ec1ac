//! The DTLS associations of one worker, by their place and by their five-tuple.

use crate::association::Association;
use crate::strangers::Strangers;
use foldhash::HashMap;
use hairpin_proto::flow::FiveTuple;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Many associations; places are used again.
pub struct Associations {
    places: Vec<Option<Box<Association>>>,
    free: Vec<u32>,
    by_tuple: HashMap<FiveTuple, u32>,
    strangers: Strangers,
    /// One moment as both clocks name it.
    moment: (u64, Instant),
}

impl Associations {
    /// None yet; `now` is what the clock says.
    pub fn new(now: u64) -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            by_tuple: HashMap::default(),
            strangers: Strangers::default(),
            moment: (now, Instant::now()),
        }
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// A time as dimpl names it.
    pub fn instant(&self, now: u64) -> Instant {
        let (then, instant) = self.moment;
        instant + Duration::from_nanos(now.saturating_sub(then))
    }

    /// The place of a client's association.
    pub fn find(&self, five_tuple: &FiveTuple) -> Option<u32> {
        self.by_tuple.get(five_tuple).copied()
    }

    /// An association by its place.
    pub fn get(&mut self, place: u32) -> Option<&mut Association> {
        self.places.get_mut(place as usize)?.as_deref_mut()
    }

    /// The places of those who have proved nothing, and since when.
    pub fn strangers(&self) -> Vec<(u32, u64)> {
        let places = self.places.iter().zip(0..);
        places.filter_map(|(association, place)| Some((place, association.as_deref()?.stranger_since?))).collect()
    }

    /// Whether one more stranger may come from there.
    pub fn admits(&self, ip: IpAddr) -> bool {
        self.strangers.admits(ip)
    }

    /// A stranger's association; what comes from there is for it from now on.
    pub fn insert(&mut self, association: Association) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            (self.places.len() - 1) as u32
        });
        self.strangers.add(association.five_tuple.client.ip());
        self.by_tuple.insert(association.five_tuple, place);
        self.places[place as usize] = Some(Box::new(association));
        place
    }

    /// Take one out for good.
    pub fn remove(&mut self, place: u32) -> Option<Box<Association>> {
        let association = self.lend(place)?;
        self.free.push(place);
        if association.stranger_since.is_some() {
            self.strangers.remove(association.five_tuple.client.ip());
        }
        if self.find(&association.five_tuple) == Some(place) {
            self.by_tuple.remove(&association.five_tuple);
        }
        Some(association)
    }

    /// Take one out while it is worked with: `give_back` follows.
    pub fn lend(&mut self, place: u32) -> Option<Box<Association>> {
        self.places.get_mut(place as usize)?.take()
    }

    /// See `lend`.
    pub fn give_back(&mut self, place: u32, association: Box<Association>) {
        self.places[place as usize] = Some(association);
    }

    /// The client proved its credentials, or ended its session and is a stranger again.
    pub fn set_stranger(&mut self, place: u32, ip: IpAddr, since: Option<u64>) {
        if let Some(association) = self.places.get_mut(place as usize).and_then(Option::as_deref_mut) {
            association.stranger_since = self.strangers.change(ip, association.stranger_since, since);
        }
    }
}
