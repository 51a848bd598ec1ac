/* epoll, and packets one by one (plain) or in batches, merged where the kernel merged them (gro). */
#include "floor.h"

enum { POOL = 256, OUT = 64, AT_ONCE = 64, HEADERS = 4096, MAX_MERGED = 65000, MAX_SEGMENTS = 64 };

static int epoll;
static void (*from_clients)(void), (*from_peer)(int i);

static void add(int fd, uint32_t tag)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u32 = tag };
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
}

static void watch(int i) { add(sessions[i].relay, i); }

static void loop(void (*after)(void))
{
    struct epoll_event ready[256];
    epoll = epoll_create1(0);
    watch_relay = watch;
    add(listener, LISTENER);
    for (;;) {
        int n = epoll_wait(epoll, ready, 256, -1);
        for (int k = 0; k < n; k++) {
            if (ready[k].data.u32 == LISTENER)
                from_clients();
            else
                from_peer(ready[k].data.u32);
        }
        after();
    }
}

/* ------------------------------------------------------------------ plain */

static void plain_from_clients(void)
{
    static uint8_t b[2048];
    for (int k = 0; k < AT_ONCE; k++) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        int n = recvfrom(listener, b, sizeof b, MSG_DONTWAIT, (void *)&from, &size);
        if (n < 0)
            return;
        int i = is_stun(b) ? (answer_request(b, n, &from), -1) : session_of(&from);
        unsigned payload = channel_data_length(b, n);
        if (i >= 0 && payload)
            sendto(sessions[i].relay, b + CHANNEL_HEADER, payload, 0, (void *)&sessions[i].peer, sizeof from);
    }
}

static bool is_peer(const session *s, const struct sockaddr_in *from)
{
    return from->sin_port == s->peer.sin_port && from->sin_addr.s_addr == s->peer.sin_addr.s_addr;
}

static void plain_from_peer(int i)
{
    static uint8_t b[2048];
    session *s = &sessions[i];
    for (int k = 0; k < AT_ONCE / 4; k++) {
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        int n = recvfrom(s->relay, b + CHANNEL_HEADER, sizeof b - CHANNEL_HEADER, MSG_DONTWAIT, (void *)&from, &size);
        if (n < 0)
            return;
        put_channel_header(b, s, n);
        if (is_peer(s, &from))
            sendto(listener, b, n + CHANNEL_HEADER, 0, (void *)&s->client, sizeof from);
    }
}

static void nothing(void) {}

void run_plain(void)
{
    from_clients = plain_from_clients;
    from_peer = plain_from_peer;
    loop(nothing);
}

/* --------------------------------------------------- batches: going out */

static struct {
    int fd, count, vectors;
    struct mmsghdr message[OUT];
    struct iovec vector[OUT * 2 * MAX_SEGMENTS];
    int segment[OUT], total[OUT], segments[OUT];
    char control[OUT][CMSG_SPACE(sizeof(uint16_t))];
} out;

static void announce_segments(int k)
{
    struct msghdr *h = &out.message[k].msg_hdr;
    h->msg_control = out.control[k];
    h->msg_controllen = sizeof out.control[k];
    struct cmsghdr *c = CMSG_FIRSTHDR(h);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    *(uint16_t *)CMSG_DATA(c) = out.segment[k];
}

static void flush_out(void)
{
    for (int k = 0; k < out.count; k++)
        if (out.segments[k] > 1)
            announce_segments(k);
    for (int done = 0; done < out.count;) {
        int sent = sendmmsg(out.fd, out.message + done, out.count - done, 0);
        done += sent > 0 ? sent : 1;   /* what the kernel refuses is dropped */
    }
    out.count = out.vectors = 0;
}

static int append(uint8_t *header, uint8_t *payload, int length)
{
    int before = out.vectors;
    if (header)
        out.vector[out.vectors++] = (struct iovec){ header, CHANNEL_HEADER };
    out.vector[out.vectors++] = (struct iovec){ payload, length };
    return out.vectors - before;
}

static void queue(int fd, struct sockaddr_in *to, uint8_t *header, uint8_t *payload, int length)
{
    int total = length + (header ? CHANNEL_HEADER : 0), k = out.count - 1;
    if (out.count && out.fd != fd)
        flush_out();
    else if (merging && k >= 0 && out.message[k].msg_hdr.msg_name == to && out.segment[k] == total
             && out.segments[k] < MAX_SEGMENTS && out.total[k] + total < MAX_MERGED) {
        out.message[k].msg_hdr.msg_iovlen += append(header, payload, length);
        out.segments[k]++;
        out.total[k] += total;
        return;
    }
    if (out.count == OUT)
        flush_out();
    k = out.count++;
    out.fd = fd;
    struct msghdr *h = &out.message[k].msg_hdr;
    *h = (struct msghdr){ .msg_name = to, .msg_namelen = sizeof *to, .msg_iov = &out.vector[out.vectors] };
    h->msg_iovlen = append(header, payload, length);
    out.segment[k] = out.total[k] = total;
    out.segments[k] = 1;
}

/* ---------------------------------------------------- batches: coming in */

static struct {
    struct mmsghdr message[POOL];
    struct iovec vector[POOL];
    struct sockaddr_in from[POOL];
    char control[POOL][CMSG_SPACE(sizeof(int))];
    int size, room, used;
} in;
static uint8_t headers[HEADERS][CHANNEL_HEADER];
static int headers_used;

static void start_pool(void)
{
    in.size = merging ? 65536 : 2048;
    in.room = merging ? 64 : POOL;
    for (int k = 0; k < in.room; k++)   /* room for a ChannelData header before the packet */
        in.vector[k] = (struct iovec){ (uint8_t *)malloc(in.size + CHANNEL_HEADER) + CHANNEL_HEADER, in.size };
}

static void finish(void)
{
    flush_out();
    in.used = headers_used = 0;
}

static int receive(int fd, int most)
{
    if (in.room - in.used < most)
        finish();
    for (int k = in.used; k < in.used + most; k++) {
        struct msghdr *h = &in.message[k].msg_hdr;
        *h = (struct msghdr){ .msg_name = &in.from[k], .msg_namelen = sizeof in.from[k],
                              .msg_iov = &in.vector[k], .msg_iovlen = 1 };
        if (merging) {
            h->msg_control = in.control[k];
            h->msg_controllen = sizeof in.control[k];
        }
    }
    return recvmmsg(fd, in.message + in.used, most, MSG_DONTWAIT, NULL);
}

static int segment_size(int k)
{
    struct msghdr *h = &in.message[k].msg_hdr;
    for (struct cmsghdr *c = merging ? CMSG_FIRSTHDR(h) : NULL; c; c = CMSG_NXTHDR(h, c))
        if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
            return *(int *)CMSG_DATA(c);
    return in.message[k].msg_len;
}

/* Every segment of a received message, to the peer or to the partner's client. */
static void uplink(const session *s, int k)
{
    uint8_t *base = in.vector[k].iov_base;
    int length = in.message[k].msg_len, segment = segment_size(k), partner = inside ? partner_of(s) : -1;
    for (int o = 0; o < length; o += segment) {
        unsigned payload = channel_data_length(base + o, length - o < segment ? length - o : segment);
        if (!payload)
            continue;
        if (partner < 0) {
            queue(s->relay, (void *)&s->peer, NULL, base + o + CHANNEL_HEADER, payload);
        } else {
            put_channel_header(base + o, &sessions[partner], payload);
            queue(listener, &sessions[partner].client, NULL, base + o, payload + CHANNEL_HEADER);
        }
    }
}

/* A session's packets together, so that they leave together. */
static void batch_from_clients(void)
{
    static int next[POOL], first[MAX_SESSIONS], last[MAX_SESSIONS], stamp[MAX_SESSIONS], generation;
    int touched[POOL], count = 0;
    finish();
    generation++;
    int n = receive(listener, merging ? AT_ONCE / 2 : AT_ONCE);
    for (int k = 0; k < n; k++) {
        uint8_t *packet = in.vector[k].iov_base;
        int i = is_stun(packet) ? (answer_request(packet, in.message[k].msg_len, &in.from[k]), -1)
                                : session_of(&in.from[k]);
        if (i < 0)
            continue;
        next[k] = -1;
        if (stamp[i] != generation)
            first[i] = k, touched[count++] = i;
        else
            next[last[i]] = k;
        stamp[i] = generation;
        last[i] = k;
    }
    for (int t = 0; t < count; t++)
        for (int k = first[touched[t]]; k >= 0; k = next[k])
            uplink(&sessions[touched[t]], k);
    flush_out();
}

/* Segments of one size share one header. */
static void downlink_merged(session *s, uint8_t *base, int length, int segment)
{
    if (headers_used + 2 > HEADERS)
        flush_out(), headers_used = 0;
    uint8_t *header = NULL;
    for (int o = 0; o < length; o += segment) {
        int size = length - o < segment ? length - o : segment;
        if (!header || size != segment) {
            header = headers[headers_used++];
            put_channel_header(header, s, size);
        }
        queue(listener, &s->client, header, base + o, size);
    }
}

static void batch_from_peer(int i)
{
    session *s = &sessions[i];
    int n = receive(s->relay, merging ? AT_ONCE / 8 : AT_ONCE / 2);
    for (int k = in.used; k < in.used + n; k++) {
        uint8_t *packet = in.vector[k].iov_base;
        int length = in.message[k].msg_len;
        if (!is_peer(s, &in.from[k]))
            continue;
        if (merging) {
            downlink_merged(s, packet, length, segment_size(k));
        } else {
            put_channel_header(packet - CHANNEL_HEADER, s, length);
            queue(listener, &s->client, NULL, packet - CHANNEL_HEADER, length + CHANNEL_HEADER);
        }
    }
    in.used += n > 0 ? n : 0;
}

void run_batches(void)
{
    start_pool();
    from_clients = batch_from_clients;
    from_peer = batch_from_peer;
    loop(finish);
}
