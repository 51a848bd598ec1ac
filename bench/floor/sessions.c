/* Sessions, and just enough TURN for turnload: no credentials, no permissions, no expiry. */
#include "floor.h"

enum { BINDING = 1, ALLOCATE = 3, REFRESH = 4, CREATE_PERMISSION = 8, CHANNEL_BIND = 9, SUCCESS = 0x100 };
enum { A_CHANNEL = 0x0C, A_LIFETIME = 0x0D, A_XOR_PEER = 0x12, A_XOR_RELAYED = 0x16, A_XOR_MAPPED = 0x20 };
enum { HEADER = 20, BUCKETS = 1 << 16, NO_SESSION = -1 };
static const uint32_t COOKIE = 0x2112A442;

session sessions[MAX_SESSIONS];
struct sockaddr_in self;
int listener;
bool merging, inside;
void (*watch_relay)(int i);

static int session_count, released[MAX_SESSIONS], released_count;
static int owner_of_port[65536];       /* index + 1 */
static struct { uint64_t key; int index; } bucket[BUCKETS];

static unsigned get16(const uint8_t *p) { return p[0] << 8 | p[1]; }
static void put16(uint8_t *p, unsigned v) { p[0] = v >> 8; p[1] = v; }

static unsigned slot_of(const struct sockaddr_in *a, uint64_t *key)
{
    *key = ((uint64_t)a->sin_addr.s_addr << 16 | a->sin_port) + 1;
    unsigned i = (*key * 0x9E3779B97F4A7C15ull) >> 48;
    while (bucket[i].key && bucket[i].key != *key)
        i = (i + 1) % BUCKETS;
    return i;
}

int session_of(const struct sockaddr_in *client)
{
    uint64_t key;
    unsigned i = slot_of(client, &key);
    return bucket[i].key ? bucket[i].index : NO_SESSION;
}

static void remember(const struct sockaddr_in *client, int index)
{
    uint64_t key;
    unsigned i = slot_of(client, &key);
    bucket[i].key = key;
    bucket[i].index = index;
}

int partner_of(const session *s)
{
    return s->peer.sin_addr.s_addr == self.sin_addr.s_addr ? owner_of_port[ntohs(s->peer.sin_port)] - 1 : NO_SESSION;
}

bool is_stun(const uint8_t *packet) { return (packet[0] & 0xC0) != 0x40; }

unsigned channel_data_length(const uint8_t *packet, int length)
{
    unsigned payload = length < CHANNEL_HEADER ? 0 : get16(packet + 2);
    return payload + CHANNEL_HEADER <= (unsigned)length ? payload : 0;
}

void put_channel_header(uint8_t *to, const session *s, unsigned length)
{
    memcpy(to, &s->channel, 2);
    put16(to + 2, length);
}

static const uint8_t *find_attribute(const uint8_t *p, int length, unsigned type, unsigned size)
{
    for (int o = HEADER; o + 4 <= length; o += 4 + ((get16(p + o + 2) + 3) & ~3u))
        if (get16(p + o) == type && get16(p + o + 2) == size && o + 4 + (int)size <= length)
            return p + o + 4;
    return NULL;
}

static int put_address(uint8_t *to, unsigned type, const struct sockaddr_in *a)
{
    uint32_t ip = a->sin_addr.s_addr ^ htonl(COOKIE);
    put16(to, type);
    put16(to + 2, 8);
    put16(to + 4, 1);
    put16(to + 6, ntohs(a->sin_port) ^ (COOKIE >> 16));
    memcpy(to + 8, &ip, 4);
    return 12;
}

static void open_relay(session *s)
{
    struct sockaddr_in a = self;
    socklen_t size = sizeof a;
    int one = 1, buffer = 1 << 20;
    a.sin_port = 0;
    s->relay = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    setsockopt(s->relay, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    if (bind(s->relay, (void *)&a, sizeof a) || getsockname(s->relay, (void *)&a, &size)) {
        perror("relay");
        exit(1);
    }
    if (merging)
        setsockopt(s->relay, SOL_UDP, UDP_GRO, &one, sizeof one);
    s->port = a.sin_port;
}

static int allocate(const struct sockaddr_in *client)
{
    int i = released_count ? released[--released_count] : session_count++;
    sessions[i].client = *client;
    open_relay(&sessions[i]);
    owner_of_port[ntohs(sessions[i].port)] = i + 1;
    remember(client, i);
    watch_relay(i);
    return i;
}

static void release(int i)
{
    session *s = &sessions[i];
    owner_of_port[ntohs(s->port)] = 0;
    shutdown(s->relay, SHUT_RDWR);     /* wakes a receive that io_uring holds */
    close(s->relay);
    s->relay = -1;
    remember(&s->client, NO_SESSION);
    released[released_count++] = i;
}

static void bind_channel(session *s, const uint8_t *packet, int length)
{
    const uint8_t *number = find_attribute(packet, length, A_CHANNEL, 4);
    const uint8_t *peer = find_attribute(packet, length, A_XOR_PEER, 8);
    if (!number || !peer)
        return;
    memcpy(&s->channel, number, 2);
    memcpy(&s->peer.sin_addr, peer + 4, 4);
    s->peer.sin_addr.s_addr ^= htonl(COOKIE);
    s->peer.sin_port = htons(get16(peer + 2) ^ (COOKIE >> 16));
    s->peer.sin_family = AF_INET;
}

static int put_allocation(uint8_t *to, const session *s, const struct sockaddr_in *client)
{
    struct sockaddr_in relayed = self;
    relayed.sin_port = s->port;
    int n = put_address(to, A_XOR_RELAYED, &relayed);
    n += put_address(to + n, A_XOR_MAPPED, client);
    memcpy(to + n, "\0\x0D\0\4\0\0\2\x58", 8);   /* LIFETIME of 600 s */
    return n + 8;
}

void answer_request(uint8_t *packet, int length, const struct sockaddr_in *from)
{
    uint8_t out[128];
    int n = HEADER, i = session_of(from);
    if (length < HEADER)
        return;
    unsigned method = get16(packet);
    const uint8_t *lifetime = find_attribute(packet, length, A_LIFETIME, 4);
    if (method == ALLOCATE)
        n += put_allocation(out + n, &sessions[i < 0 ? allocate(from) : i], from);
    else if (method == BINDING)
        n += put_address(out + n, A_XOR_MAPPED, from);
    else if (method == CHANNEL_BIND && i >= 0)
        bind_channel(&sessions[i], packet, length);
    else if (method == REFRESH && i >= 0 && lifetime && !memcmp(lifetime, "\0\0\0\0", 4))
        release(i);
    else if (method != REFRESH && method != CREATE_PERMISSION)
        return;
    memcpy(out, packet, HEADER);
    put16(out, method | SUCCESS);
    put16(out + 2, n - HEADER);
    sendto(listener, out, n, 0, (const void *)from, sizeof *from);
}
