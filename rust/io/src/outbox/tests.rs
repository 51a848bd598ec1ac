use super::*;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::time::Duration;

fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn route(from: &UdpSocket, to: SocketAddr) -> Route {
    Route { fd: from.as_raw_fd(), to, source: None, slot: Some(7), to_client: true, whole: false, uncounted: 0 }
}

fn push(outbox: &mut Outbox, route: Route, head: &[u8], body: &[u8], padding: usize) -> Vec<u8> {
    outbox.push(route, Framed { head, body, padding });
    [head, body, &ZEROS[..padding]].concat()
}

fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 2000];
    let length = socket.recv(&mut bytes).unwrap();
    bytes[..length].to_vec()
}

#[test]
fn frames_of_any_size_to_anyone_arrive_whole_and_in_order() {
    let (senders, receivers) = ([socket(), socket()], [socket(), socket(), socket()]);
    let bodies: Vec<Vec<u8>> = (0..4000usize)
        .map(|n| n.to_le_bytes().repeat(200)[..[0, 1, 3, 160, 160, 1200, 1200, 1473][n / 3 % 8]].to_vec())
        .collect();
    let mut outbox = Outbox::new();
    let mut chance = 1u64;
    let mut draw = |below: u64| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (chance >> 33) % below
    };
    let (mut from, mut to) = (0, 0);
    for round in bodies.chunks(40) {
        let mut wanted = [Vec::new(), Vec::new(), Vec::new()];
        from = if draw(2) == 0 { draw(2) as usize } else { from };
        for body in round {
            to = if draw(4) == 0 { draw(3) as usize } else { to };
            let head = &[0x40, 1, 2, body.len() as u8][..[0, 4, 4][draw(3) as usize]];
            let padding = [0, 0, 3][draw(3) as usize];
            wanted[to].push(push(&mut outbox, route(&senders[from].0, receivers[to].1), head, body, padding));
        }
        outbox.flush();
        for (receiver, wanted) in receivers.iter().zip(wanted) {
            for frame in wanted {
                assert_eq!(received(&receiver.0), frame);
            }
        }
    }
    assert_eq!(outbox.refused, []);
}

#[test]
fn what_the_kernel_will_not_cut_is_sent_apart() {
    let ((sender, _), (receiver, to)) = (socket(), socket());
    let on = 1i32;
    // SAFETY: the descriptor is open, and the value an int that outlives the call. Without checksums the kernel cuts nothing.
    unsafe { libc::setsockopt(sender.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const on).cast(), 4) };
    let mut outbox = Outbox::new();
    let bodies = [[1; 500], [2; 500], [3; 500]];
    let wanted: Vec<_> = bodies.iter().map(|body| push(&mut outbox, route(&sender, to), &[9, 9], body, 1)).collect();
    assert_eq!(outbox.clients.messages.len(), 1);
    outbox.flush();
    assert_eq!(wanted.iter().map(|_| received(&receiver)).collect::<Vec<_>>(), wanted);
    assert_eq!(outbox.refused, []);
}

#[test]
fn each_datagram_that_is_refused_is_told() {
    let (sender, _) = socket();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut outbox = Outbox::new();
    let bodies = [[1; 300], [2; 300]];
    bodies.iter().for_each(|body| drop(push(&mut outbox, route(&sender, nowhere), &[], body, 0)));
    push(&mut outbox, route(&sender, nowhere), &[], &[3; 100], 0);
    push(&mut outbox, Route { slot: None, ..route(&sender, nowhere) }, &[], &[4; 400], 0);
    push(&mut outbox, Route { to_client: false, ..route(&sender, nowhere) }, &[], &[5; 50], 0);
    outbox.flush();
    let told: Vec<_> = outbox.refused.iter().map(|one| (one.slot, one.length, one.to_client)).collect();
    assert_eq!(
        told,
        [(Some(7), 300, true), (Some(7), 300, true), (Some(7), 100, true), (None, 400, true), (Some(7), 50, false)]
    );
}

#[test]
fn a_message_holds_what_the_kernel_takes() {
    let ((sender, _), (_receiver, to)) = (socket(), socket());
    let (small, large) = ([0; 10], [0; 1472]);
    let mut outbox = Outbox::new();
    (0..65).for_each(|_| drop(push(&mut outbox, route(&sender, to), &[], &small, 0)));
    (0..45).for_each(|_| drop(push(&mut outbox, route(&sender, to), &[], &large, 0)));
    let segments: Vec<_> = outbox.clients.messages.iter().map(Message::segments).collect();
    assert_eq!(segments, [64, 1, 44, 1]);
    assert!(outbox.clients.messages.iter().all(|message| message.total <= SEGMENTED));
}
