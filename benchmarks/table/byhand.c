/*
 * The protocol checked by hand in C, over rows of 64 bytes in memory: what one event takes in a
 * cache line of its own, all of it known, and its memory just the structure. No trace is like that:
 * it says how fast a checker could be at most (byhand_columns.c is over what traces are read into).
 * `byhand one|whole ROWS EVENTS TIMES` goes over the rows of a file so many times; says how many
 * events there were, how many were wrong, and the processor's seconds.
 *
 * `one` is one property: a channel is opened before it is used, and not twice. `whole` is all that
 * the specification says of these three calls: who may call, what memory may change, which port a
 * new channel gets, which errors are due, what becomes of the channel and of the words that both
 * sides share; and how often each of it was seen.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { CLOSE = 3, SEND = 4, OPEN = 7, PORTS = 4096, VCPUS = 1, DOMAINS = 64 };
enum { FREE, RESERVED, IPI };
enum { EVENT_CHANNEL_OP = 32, EINVAL = 22, ENOENT = 2 };

struct row {
    uint64_t number;
    uint32_t command;
    uint8_t width, cpl, readable, writable;
    uint64_t pointer;
    int64_t ret;
    uint32_t before[2], after[2];
    uint32_t domain, vcpu;
    uint64_t rest;
};

struct channels {
    uint8_t bound[PORTS], notify[PORTS], pending[PORTS], masked[PORTS], attached[PORTS];
    uint8_t selector[VCPUS][PORTS / 64], upcall[VCPUS];
    uint32_t valid, lowest, limit;
};

enum said {
    RING, NUMBER, READ, WROTE, FRAME, OPENED, LOWEST, NO_VCPU, SENT, RAISED, NO_PORT, NOT_OPEN,
    CLOSED, SAID
};

static struct channels all[DOMAINS];
static uint64_t said[SAID];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static uint32_t port_of(const struct row *e)
{
    return (e->command == OPEN ? e->after[1] : e->before[0]) % PORTS;
}

static uint64_t check_one(const struct row *rows, uint64_t count)
{
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < count; i++) {
        const struct row *e = &rows[i];
        uint8_t *open = &all[e->domain % DOMAINS].bound[port_of(e)];

        switch (e->command) {
        case OPEN:
            wrong += *open || e->ret;
            *open = 1;
            break;
        case SEND:
            wrong += *open != (e->ret == 0);
            break;
        case CLOSE:
            wrong += *open != (e->ret == 0);
            *open = 0;
            break;
        }
    }
    return wrong;
}

static int opens(struct channels *d, const struct row *e)
{
    uint32_t port = d->lowest;

    if (e->before[0] >= VCPUS) {
        said[NO_VCPU]++;
        return e->ret != -ENOENT;
    }
    while (port < PORTS && d->bound[port] != FREE)
        port++;
    if (port >= PORTS || port > d->limit)
        return e->ret == 0;
    d->lowest = port + 1;
    if (port >= d->valid)
        d->valid += 64;
    if (e->ret || e->after[1] != port || e->after[0] != e->before[0])
        return 1;
    said[OPENED]++;
    said[LOWEST]++;
    said[FRAME]++;
    d->bound[port] = IPI;
    d->notify[port] = e->before[0];
    return 0;
}

static int sends(struct channels *d, const struct row *e)
{
    uint32_t port = e->before[0], vcpu;

    if (port >= d->valid || d->attached[port] || d->bound[port] != IPI) {
        said[port >= d->valid ? NO_PORT : NOT_OPEN]++;
        return e->ret != -EINVAL;
    }
    if (e->ret || e->after[0] != port)
        return 1;
    said[SENT]++;
    said[RAISED]++;
    said[FRAME]++;
    if (!d->pending[port]) {
        d->pending[port] = 1;
        vcpu = d->notify[port];
        if (!d->masked[port] && !d->selector[vcpu][port / 64]) {
            d->selector[vcpu][port / 64] = 1;
            d->upcall[vcpu] = 1;
        }
    }
    return 0;
}

static int closes(struct channels *d, const struct row *e)
{
    uint32_t port = e->before[0];

    if (port >= d->valid || d->attached[port] || d->bound[port] != IPI) {
        said[port >= d->valid ? NO_PORT : NOT_OPEN]++;
        return e->ret != -EINVAL;
    }
    if (e->ret || e->after[0] != port)
        return 1;
    said[CLOSED]++;
    said[FRAME]++;
    d->bound[port] = FREE;
    d->pending[port] = 0;
    d->notify[port] = 0;
    if (port < d->lowest)
        d->lowest = port;
    return 0;
}

static uint64_t check_whole(const struct row *rows, uint64_t count)
{
    uint64_t wrong = 0;

    for (uint64_t i = 0; i < count; i++) {
        const struct row *e = &rows[i];
        struct channels *d = &all[e->domain % DOMAINS];

        if (e->number != EVENT_CHANNEL_OP || e->cpl || e->width != 64 || !e->readable ||
            !e->writable) {
            wrong++;
            continue;
        }
        said[RING]++;
        said[NUMBER]++;
        said[READ]++;
        said[WROTE]++;
        switch (e->command) {
        case OPEN:
            wrong += opens(d, e);
            break;
        case SEND:
            wrong += sends(d, e);
            break;
        case CLOSE:
            wrong += closes(d, e);
            break;
        default:
            wrong++;
        }
    }
    return wrong;
}

static void begin(void)
{
    memset(all, 0, sizeof(all));
    for (int d = 0; d < DOMAINS; d++) {
        all[d].bound[0] = RESERVED;
        all[d].valid = 64;
        all[d].lowest = 1;
        all[d].limit = 0x7fffffff;
    }
}

int main(int argc, char **argv)
{
    uint64_t count, times, wrong = 0;
    struct row *rows;
    double began, spent = 0;
    int file, whole;

    if (argc != 5)
        return 2;
    whole = !strcmp(argv[1], "whole");
    count = strtoull(argv[3], NULL, 0);
    times = strtoull(argv[4], NULL, 0);
    file = open(argv[2], O_RDONLY);
    rows = mmap(NULL, count * sizeof(*rows), PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (file < 0 || rows == MAP_FAILED)
        return 2;
    for (uint64_t n = 0; n < times; n++) {
        begin();
        began = now();
        wrong += whole ? check_whole(rows, count) : check_one(rows, count);
        spent += now() - began;
    }
    printf("{\"events\": %llu, \"wrong\": %llu, \"seconds\": %.9f, \"said\": %llu}\n",
           (unsigned long long)(count * times), (unsigned long long)wrong, spent,
           (unsigned long long)said[FRAME]);
    return 0;
}
