/*
 * The protocol checked by hand in C, over the very columns that the machine code of the
 * specification is given: Arrow's buffers, a table of pointers for each batch (AT_* are the places
 * of a column's values in it, and the known bits come after them; `-D` says them).
 *
 * It makes all the checks that the specification comes to on these three calls: the kind of event
 * and the number, ring and width, that the pointer can be read, and written; which errors are due,
 * and in which order; the bytes of the structure among those recorded, and that no other byte has
 * changed; which port a new channel gets; what becomes of the channel and of the words that both
 * sides share; and how often each of it was seen. What was not recorded is noticed: a call whose
 * result or memory nobody saw is supposed to have gone as it must; where more is missing its domain
 * is lost, and nothing is said of it any more.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE = 3, SEND = 4, OPEN = 7, EVENT_CHANNEL_OP = 32 };
enum { EPERM = 1, ENOENT = 2, EFAULT = 14, EINVAL = 22, ENOSPC = 28, ERESTART = 85 };
enum { PORTS = 4096, VCPUS = 128, DOMAINS = 64, GROUP = 64 };
enum { FREE, RESERVED, UNBOUND, INTERDOMAIN, IPI };

enum verdict { RIGHT, WRONG, MISSING };

enum said {
    RESULT, UNSEEN, FRAME, USER_MODE, UNREADABLE, OPENED, LOWEST, NO_VCPU, NO_SPACE, SENT, NO_PORT,
    XEN_ATTACHED, NOT_A_SENDER, CLOSED, NOT_OPEN, LEFT, SAID
};

struct domain {
    uint8_t bound[PORTS], notify[PORTS], priority[PORTS];
    uint64_t pending[PORTS / 64], masked[PORTS / 64], attached[PORTS / 64];
    uint64_t selector[VCPUS], upcall[VCPUS / 64], requested[VCPUS / 64], vcpus[VCPUS / 64];
    uint8_t vector[VCPUS];
    uint32_t valid, lowest, limit;
    bool lost, fifo;
};

struct checker {
    uint64_t wrong, left, said[SAID];
    int64_t first; /* the number of the first event that is wrong */
    struct domain domains[DOMAINS];
};

/* One column of numbers, and which are known. */
#define COLUMN(type, name) struct { const type *value; const uint8_t *known; } name
#define TAKE(name, at) c.name.value = words[at], c.name.known = words[at + 1]

struct ranges {
    const int32_t *lists;
    const uint8_t *known;
    const uint64_t *address;
    const int32_t *starts;
    const uint8_t *bytes;
};

struct columns {
    COLUMN(uint64_t, seq);
    COLUMN(int8_t, kind);
    COLUMN(uint64_t, begin);
    COLUMN(uint64_t, end);
    COLUMN(uint32_t, dom);
    COLUMN(uint8_t, width);
    COLUMN(uint8_t, cpl);
    COLUMN(uint64_t, nr);
    COLUMN(uint8_t, args);
    COLUMN(uint64_t, command);
    COLUMN(uint64_t, pointer);
    COLUMN(int64_t, ret);
    COLUMN(uint8_t, readable);
    COLUMN(uint8_t, writable);
    struct ranges in, out;
};

struct call {
    int64_t ret;
    bool seen, readable, writable;
    const uint8_t *before, *after; /* the structure, null where it was not recorded */
};

static inline bool bit(const uint8_t *bits, uint64_t at)
{
    return bits[at >> 3] >> (at & 7) & 1;
}

static inline uint32_t u32(const uint8_t *bytes)
{
    uint32_t n;

    memcpy(&n, bytes, sizeof(n));
    return n;
}

static inline bool in_set(const uint64_t *set, uint32_t at)
{
    return set[at / 64] >> at % 64 & 1;
}

static struct ranges ranges_of(void *const *words, int at)
{
    return (struct ranges) { words[at], words[at + 1], words[at + 2], words[at + 3], words[at + 4] };
}

/* Where one of a row's ranges holds some bytes. */
static inline const uint8_t *held(const struct ranges *r, uint64_t row, uint64_t at, uint64_t size)
{
    if (!bit(r->known, row))
        return NULL;
    for (int32_t i = r->lists[row]; i < r->lists[row + 1]; i++) {
        uint64_t offset = at - r->address[i], length = r->starts[i + 1] - r->starts[i];

        if (offset <= length && size <= length - offset)
            return r->bytes + r->starts[i] + offset;
    }
    return NULL;
}

/* Whether a byte has changed that is not the structure's. */
static inline bool strays(const struct columns *c, uint64_t row, uint64_t own, uint64_t size)
{
    const struct ranges *in = &c->in, *out = &c->out;

    if (!bit(in->known, row) || !bit(out->known, row))
        return false;
    for (int32_t i = out->lists[row]; i < out->lists[row + 1]; i++) {
        for (int32_t j = in->lists[row]; j < in->lists[row + 1]; j++) {
            const uint8_t *a = in->bytes + in->starts[j], *b = out->bytes + out->starts[i];
            uint64_t at = in->address[j], length = in->starts[j + 1] - in->starts[j];
            uint64_t other = out->starts[i + 1] - out->starts[i];

            if (at != out->address[i] || (at == own && length <= size))
                continue;
            length = length < other ? length : other;
            for (uint64_t k = 0; k < length; k++)
                if (a[k] != b[k] && at + k - own >= size)
                    return true;
        }
    }
    return false;
}

/* An error is due. */
static inline enum verdict refused(struct checker *all, const struct call *call, int error, int what)
{
    if (!call->seen) {
        all->said[UNSEEN]++;
        return RIGHT;
    }
    all->said[what] += call->ret == -error;
    return call->ret == -error ? RIGHT : WRONG;
}

/* None is. */
static inline enum verdict answered(struct checker *all, const struct call *call, int what)
{
    if (!call->seen) {
        all->said[UNSEEN]++;
        return RIGHT;
    }
    all->said[what] += call->ret == 0;
    return call->ret == 0 ? RIGHT : WRONG;
}

/* The lowest port that is spare, if one is; Xen makes records of more where none is. */
static inline bool look_for_port(struct domain *d, uint32_t *found)
{
    uint32_t port = d->lowest;

    while (port < PORTS && d->bound[port] != FREE)
        port++;
    d->lowest = *found = port;
    if (port >= d->valid && d->valid < PORTS && d->valid <= d->limit)
        d->valid += GROUP;
    return port < PORTS && port <= d->limit;
}

static inline enum verdict opens(struct checker *all, struct domain *d, const struct call *call)
{
    uint32_t vcpu = u32(call->before), port;

    if (vcpu >= VCPUS || !in_set(d->vcpus, vcpu))
        return refused(all, call, ENOENT, NO_VCPU);
    if (!look_for_port(d, &port))
        return refused(all, call, ENOSPC, NO_SPACE);
    if (!call->writable) {
        if (call->seen && call->ret != -EFAULT)
            return WRONG;
    } else if (answered(all, call, OPENED) == WRONG) {
        return WRONG;
    } else if (call->after) {
        if (u32(call->after + 4) != port)
            return WRONG;
        all->said[LOWEST]++;
    }
    d->bound[port] = IPI;
    d->notify[port] = vcpu;
    return RIGHT;
}

static inline void raise(struct domain *d, uint32_t port)
{
    uint64_t word = port / 64, mask = 1ull << port % 64, mine;
    uint32_t vcpu = d->notify[port];

    if (d->pending[word] & mask)
        return;
    d->pending[word] |= mask;
    if (d->masked[word] & mask)
        return;
    mine = 1ull << word;
    if (d->selector[vcpu] & mine)
        return;
    d->selector[vcpu] |= mine;
    if (in_set(d->upcall, vcpu))
        return;
    d->upcall[vcpu / 64] |= 1ull << vcpu % 64;
    if (d->vector[vcpu])
        d->requested[vcpu / 64] |= 1ull << vcpu % 64;
}

/* The refusals that every call about one port of the caller's has in common. */
static inline int barred(const struct domain *d, uint32_t port, int unopened)
{
    if (port >= d->valid)
        return NO_PORT;
    if (in_set(d->attached, port))
        return XEN_ATTACHED;
    return d->bound[port] < UNBOUND ? unopened : 0;
}

static inline enum verdict sends(struct checker *all, struct domain *d, const struct call *call)
{
    uint32_t port = u32(call->before);
    int why = barred(d, port, NOT_A_SENDER);

    if (why)
        return refused(all, call, EINVAL, why);
    if (answered(all, call, SENT) == WRONG)
        return WRONG;
    if (d->bound[port] == INTERDOMAIN)
        return MISSING;
    if (d->bound[port] == IPI)
        raise(d, port);
    return RIGHT;
}

static inline enum verdict closes(struct checker *all, struct domain *d, const struct call *call)
{
    uint32_t port = u32(call->before);
    int why = barred(d, port, NOT_OPEN);

    if (why)
        return refused(all, call, EINVAL, why);
    if (answered(all, call, CLOSED) == WRONG)
        return WRONG;
    if (d->bound[port] == INTERDOMAIN)
        return MISSING;
    d->bound[port] = FREE;
    d->notify[port] = 0;
    d->priority[port] = 7;
    d->pending[port / 64] &= ~(1ull << port % 64);
    if (port < d->lowest)
        d->lowest = port;
    return RIGHT;
}

/* Ring, pointer, the operation itself; then its memory. */
static inline enum verdict
judged(struct checker *all, const struct columns *c, struct domain *d, uint64_t row)
{
    uint64_t pointer = c->pointer.value[row], size;
    uint32_t command = c->command.value[row];
    bool written = false;
    enum verdict found;
    struct call call;

    if (!bit(c->cpl.known, row) || !bit(c->width.known, row))
        return MISSING;
    call.seen = bit(c->ret.known, row);
    call.ret = c->width.value[row] == 64 ? c->ret.value[row] : (int32_t)c->ret.value[row];
    if (call.seen) {
        if (call.ret == -ERESTART)
            return WRONG;
        all->said[RESULT]++;
    }
    if (c->cpl.value[row])
        return refused(all, &call, EPERM, USER_MODE);
    if (command != OPEN && command != SEND && command != CLOSE)
        return MISSING;
    size = command == OPEN ? 8 : 4;
    call.before = held(&c->in, row, pointer, size);
    call.after = held(&c->out, row, pointer, size);
    call.readable = bit(c->readable.known, row) ? bit(c->readable.value, row) : !!call.before;
    call.writable = bit(c->writable.known, row) ? bit(c->writable.value, row)
                                                : call.seen && call.ret >= 0 && call.after;
    if (!call.readable)
        return bit(c->readable.known, row) ? refused(all, &call, EFAULT, UNREADABLE) : MISSING;
    if (command == OPEN && !call.writable && !bit(c->writable.known, row))
        return MISSING;
    if (!call.before || d->fifo)
        return MISSING;
    switch (command) {
    case OPEN:
        found = opens(all, d, &call);
        written = call.seen ? !call.ret : true;
        break;
    case SEND:
        found = sends(all, d, &call);
        break;
    default:
        found = closes(all, d, &call);
    }
    if (found != RIGHT || !call.after)
        return found;
    if (u32(call.before) != u32(call.after))
        return WRONG;
    if (command == OPEN && !written && u32(call.before + 4) != u32(call.after + 4))
        return WRONG;
    if (strays(c, row, pointer, size))
        return WRONG;
    all->said[FRAME]++;
    return RIGHT;
}

/* Not inlined: all these pointers at once are more than there are registers, and cost a fifth. */
static __attribute__((noinline)) enum verdict
event(struct checker *all, const struct columns *c, uint64_t row)
{
    struct domain *d;
    enum verdict found;

    if (!bit(c->kind.known, row) || c->kind.value[row] != HYPERCALL)
        return MISSING;
    if (bit(c->begin.known, row) && bit(c->end.known, row)) /* at the same time as others */
        return MISSING;
    if (!bit(c->dom.known, row) || c->dom.value[row] >= DOMAINS)
        return MISSING;
    d = &all->domains[c->dom.value[row]];
    if (d->lost)
        return MISSING;
    found = MISSING;
    if (bit(c->nr.known, row) && c->nr.value[row] == EVENT_CHANNEL_OP &&
        bit(c->args.known, row) && c->args.value[row] >= 2 &&
        bit(c->command.known, row) && bit(c->pointer.known, row))
        found = judged(all, c, d, row);
    d->lost = found == MISSING;
    return found;
}

/* A batch. */
void check(struct checker *all, void *const *words, uint64_t rows)
{
    struct columns c;

    TAKE(seq, AT_SEQ), TAKE(kind, AT_KIND), TAKE(begin, AT_BEGIN), TAKE(end, AT_END);
    TAKE(dom, AT_DOM), TAKE(width, AT_WIDTH), TAKE(cpl, AT_CPL), TAKE(nr, AT_NR);
    TAKE(args, AT_ARGS), TAKE(command, AT_ARG0), TAKE(pointer, AT_ARG1), TAKE(ret, AT_RET);
    TAKE(readable, AT_ARG_READABLE), TAKE(writable, AT_ARG_WRITABLE);
    c.in = ranges_of(words, AT_IN), c.out = ranges_of(words, AT_OUT);
    for (uint64_t row = 0; row < rows; row++) {
        switch (event(all, &c, row)) {
        case RIGHT:
            break;
        case WRONG:
            if (!all->wrong++)
                all->first = c.seq.value[row];
            break;
        case MISSING:
            all->said[LEFT]++, all->left++;
        }
    }
}

/* A state to begin with. */
struct checker *begin(void)
{
    struct checker *all = calloc(1, sizeof(*all));

    if (!all)
        abort();
    all->first = -1;
    for (int n = 0; n < DOMAINS; n++) {
        struct domain *d = &all->domains[n];

        d->bound[0] = RESERVED;
        memset(d->priority, 7, sizeof(d->priority));
        d->vcpus[0] = 1;
        d->valid = GROUP;
        d->lowest = 1;
        d->limit = 0x7fffffff;
    }
    return all;
}

/* What was found: how many were wrong, how many were left, and the first that was wrong. */
void end(struct checker *all, int64_t *told)
{
    told[0] = all->wrong, told[1] = all->left, told[2] = all->first;
    free(all);
}
