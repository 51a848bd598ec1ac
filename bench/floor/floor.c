/* cc -O2 -o floor *.c -luring; floor VARIANT [ADDRESS PORT]
 *
 *   plain       recvfrom and sendto, a packet a call
 *   mmsg        recvmmsg and sendmmsg
 *   gro         mmsg, and bursts stay merged (UDP_GRO, UDP_SEGMENT)
 *   uring       io_uring: multishot receives, sends gathered into one call
 *   hairpin     mmsg, and two clients of ours meet without relay sockets
 *   hairpingro  both
 */
#include "floor.h"

static void open_listener(void)
{
    int one = 1, buffer = 4 << 20;
    listener = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    if (bind(listener, (void *)&self, sizeof self)) {
        perror("bind");
        exit(1);
    }
    if (merging)
        setsockopt(listener, SOL_UDP, UDP_GRO, &one, sizeof one);
}

int main(int count, char **argument)
{
    const char *variant = count > 1 ? argument[1] : "";
    static const char *const VARIANTS[] = { "plain", "mmsg", "gro", "uring", "hairpin", "hairpingro" };
    unsigned known = 0;
    while (known < 6 && strcmp(variant, VARIANTS[known]))
        known++;
    if (known == 6 || (count != 2 && count != 4)) {
        fputs("usage: floor plain|mmsg|gro|uring|hairpin|hairpingro [ADDRESS PORT]\n", stderr);
        return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    merging = strstr(variant, "gro") != NULL;
    inside = strstr(variant, "hairpin") != NULL;
    self.sin_family = AF_INET;
    self.sin_addr.s_addr = inet_addr(count > 2 ? argument[2] : "127.0.0.1");
    self.sin_port = htons(count > 2 ? atoi(argument[3]) : 3478);
    open_listener();
    if (!strcmp(variant, "uring"))
        run_uring();
    else if (!strcmp(variant, "plain"))
        run_plain();
    else
        run_batches();
}
