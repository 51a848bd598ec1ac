/* io_uring: one multishot receive a socket into shared buffers, sends that leave with the next wait. */
#include "floor.h"
#include <liburing.h>

enum { BUFFERS = 4096, BUFFER_SIZE = 2048, AT_ONCE = 1024 };
static const uint64_t SENT = ~0ull;

static struct io_uring ring;
static struct io_uring_buf_ring *shared;
static uint8_t *buffers;
static uint16_t used[BUFFERS];
static int used_count;
static struct msghdr shape = { .msg_namelen = sizeof(struct sockaddr_in) };

static struct io_uring_sqe *entry(void)
{
    struct io_uring_sqe *e = io_uring_get_sqe(&ring);
    if (!e) {
        io_uring_submit(&ring);
        e = io_uring_get_sqe(&ring);
    }
    return e;
}

static void arm(int fd, uint64_t tag)
{
    struct io_uring_sqe *e = entry();
    io_uring_prep_recvmsg_multishot(e, fd, &shape, 0);
    e->flags |= IOSQE_BUFFER_SELECT;
    e->buf_group = 0;
    io_uring_sqe_set_data64(e, tag);
}

static void watch(int i) { arm(sessions[i].relay, i); }

static void require(int result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, strerror(-result));
        exit(1);
    }
}

static void give_back(int count)
{
    for (int k = 0; k < count; k++)
        io_uring_buf_ring_add(shared, buffers + used[k] * BUFFER_SIZE, BUFFER_SIZE, used[k], BUFFERS - 1, k);
    io_uring_buf_ring_advance(shared, count);
    used_count = 0;
}

static void open_ring(void)
{
    struct io_uring_params p = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                 .cq_entries = 16384 };
    require(io_uring_queue_init_params(4096, &ring, &p), "io_uring");
    if (posix_memalign((void **)&shared, 4096, BUFFERS * sizeof(struct io_uring_buf)))
        exit(1);
    struct io_uring_buf_reg reg = { .ring_addr = (uintptr_t)shared, .ring_entries = BUFFERS };
    require(io_uring_register_buf_ring(&ring, &reg, 0), "buffer ring");
    io_uring_buf_ring_init(shared);
    buffers = malloc((size_t)BUFFERS * BUFFER_SIZE);
    for (int k = 0; k < BUFFERS; k++)
        used[k] = k;
    give_back(BUFFERS);
}

static void send_later(int fd, const uint8_t *bytes, int length, const struct sockaddr_in *to)
{
    struct io_uring_sqe *e = entry();
    io_uring_prep_send(e, fd, bytes, length, MSG_DONTWAIT);
    e->addr2 = (uintptr_t)to;
    e->addr_len = sizeof *to;
    e->flags |= IOSQE_CQE_SKIP_SUCCESS;
    e->user_data = SENT;
}

static void from_client(uint8_t *packet, int length, struct sockaddr_in *from)
{
    int i = is_stun(packet) ? (answer_request(packet, length, from), -1) : session_of(from);
    unsigned payload = channel_data_length(packet, length);
    if (i >= 0 && payload)
        send_later(sessions[i].relay, packet + CHANNEL_HEADER, payload, &sessions[i].peer);
}

/* The name of the sender ends four bytes or more before the packet: it is read first, then overwritten. */
static void from_peer(session *s, uint8_t *packet, int length, const struct sockaddr_in *from)
{
    if (from->sin_port != s->peer.sin_port || from->sin_addr.s_addr != s->peer.sin_addr.s_addr)
        return;
    put_channel_header(packet - CHANNEL_HEADER, s, length);
    send_later(listener, packet - CHANNEL_HEADER, length + CHANNEL_HEADER, &s->client);
}

static void received(const struct io_uring_cqe *c)
{
    int number = c->flags >> IORING_CQE_BUFFER_SHIFT;
    used[used_count++] = number;
    struct io_uring_recvmsg_out *o = io_uring_recvmsg_validate(buffers + number * BUFFER_SIZE, c->res, &shape);
    if (!o)
        return;
    uint8_t *packet = io_uring_recvmsg_payload(o, &shape);
    int length = io_uring_recvmsg_payload_length(o, c->res, &shape);
    if (c->user_data == LISTENER)
        from_client(packet, length, io_uring_recvmsg_name(o));
    else
        from_peer(&sessions[c->user_data], packet, length, io_uring_recvmsg_name(o));
}

static void completed(const struct io_uring_cqe *c)
{
    if (c->user_data == SENT)
        return;
    if (!(c->flags & IORING_CQE_F_MORE)) {
        int fd = c->user_data == LISTENER ? listener : sessions[c->user_data].relay;
        if (fd >= 0)
            arm(fd, c->user_data);
    }
    if (c->res >= 0 && c->flags & IORING_CQE_F_BUFFER)
        received(c);
}

void run_uring(void)
{
    open_ring();
    watch_relay = watch;
    arm(listener, LISTENER);
    for (;;) {
        io_uring_submit_and_wait(&ring, 1);   /* the sends of the last round: their buffers are free after it */
        give_back(used_count);
        struct io_uring_cqe *c;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, c) {
            completed(c);
            if (++seen == AT_ONCE)
                break;
        }
        io_uring_cq_advance(&ring, seen);
    }
}
