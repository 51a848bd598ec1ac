/* The floor: the least that a relay must do, so that a ratio to it says what a server adds. */
#ifndef FLOOR_H
#define FLOOR_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_SESSIONS = 32768, LISTENER = 1 << 30, CHANNEL_HEADER = 4 };

/* Port and channel in network order; relay is -1 once the client has gone. */
typedef struct { struct sockaddr_in client, peer; int relay; uint16_t port, channel; } session;

extern session sessions[MAX_SESSIONS];
extern struct sockaddr_in self;
extern int listener;
extern bool merging;                   /* GRO and GSO */
extern bool inside;                    /* two of our clients meet here, not through a relay socket */
extern void (*watch_relay)(int i);     /* how a new relay socket is read */

/* sessions.c */
int session_of(const struct sockaddr_in *client);
int partner_of(const session *s);      /* the session that the peer's address belongs to, or -1 */
bool is_stun(const uint8_t *packet);
void answer_request(uint8_t *packet, int length, const struct sockaddr_in *from);
unsigned channel_data_length(const uint8_t *packet, int length); /* of the payload; 0 when there is none */
void put_channel_header(uint8_t *to, const session *s, unsigned length);

/* One loop a way of moving packets; none returns. */
void run_plain(void);
void run_batches(void);
void run_uring(void);

#endif
