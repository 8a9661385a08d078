/*
 * The protocol checked by hand in C, over rows of 64 bytes in memory: what one event takes in a
 * cache line of its own. `byhand ROWS EVENTS TIMES` goes over the rows of a file so many times;
 * says how many events there were, how many were wrong, and the processor's seconds.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CLOSE = 3, SEND = 4, OPEN = 7, PORTS = 4096 };

struct row {
    uint64_t command, port;
    int64_t ret;
    uint64_t rest[5];
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t check(const struct row *rows, uint64_t count, uint8_t *open)
{
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < count; i++) {
        const struct row *e = &rows[i];
        uint64_t port = e->port % PORTS;

        switch (e->command) {
        case OPEN:
            wrong += open[port] || e->ret;
            open[port] = 1;
            break;
        case SEND:
            wrong += open[port] != (e->ret == 0);
            break;
        case CLOSE:
            wrong += open[port] != (e->ret == 0);
            open[port] = 0;
            break;
        }
    }
    return wrong;
}

int main(int argc, char **argv)
{
    static uint8_t open_now[PORTS];
    uint64_t count, times, wrong = 0;
    struct row *rows;
    double began;
    int file;

    if (argc != 4)
        return 2;
    count = strtoull(argv[2], NULL, 0);
    times = strtoull(argv[3], NULL, 0);
    file = open(argv[1], O_RDONLY);
    rows = mmap(NULL, count * sizeof(*rows), PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (file < 0 || rows == MAP_FAILED)
        return 2;
    began = now();
    for (uint64_t n = 0; n < times; n++) {
        memset(open_now, 0, sizeof(open_now));
        wrong += check(rows, count, open_now);
    }
    printf("{\"events\": %llu, \"wrong\": %llu, \"seconds\": %.9f}\n",
           (unsigned long long)(count * times), (unsigned long long)wrong, now() - began);
    return 0;
}
