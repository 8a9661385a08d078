/* The program: one step after the other. Its form is described in wire.py beside the encoder. */
#include "probe.h"

u8 scratch[SCRATCH_SIZE] __attribute__((aligned(0x1000)));

static u64 slots[SLOTS];
static word hypercall_page;

enum step_type {
    STEP_HYPERCALL = 1, STEP_CPUID, STEP_READ_MSR, STEP_WRITE_MSR, STEP_READ, STEP_WRITE,
    STEP_USE_PAGE, STEP_USE_SHARED, STEP_USE_VCPU, STEP_SHARED, STEP_STORE, STEP_WINDOW,
    STEP_NOTE, STEP_HANG, STEP_SIPI, STEP_AWAIT_VCPU, STEP_RACE, STEP_USE_FIFO,
    STEP_FIFO, STEP_APIC, STEP_TOUCH, STEP_TURN,
};

enum operand_kind { OP_NUMBER, OP_SLOT, OP_SCRATCH, OP_ALIAS, OP_HOLE, OP_START_INFO, OP_AP_ENTRY };

struct PACKED operand {
    u8 kind;
    signed char shift; /* right; negative goes left */
    u16 slot;
    u32 zero;
    u64 value;
};

struct PACKED step {
    u8 type, flags;
    u16 zero;
    u32 size; /* with this header */
    u8 body[];
};

struct PACKED call {
    u64 nr;
    u8 by_page, cpl, args, buffers, saves, zero[3];
};

struct PACKED buffer {
    u32 start, total;       /* in scratch: what is recorded, guards included */
    u32 data_start, data;   /* in scratch, and how many bytes of data follow (padded to 8) */
    u32 patches, fill;
};

struct PACKED patch {
    u32 at, size; /* in scratch */
    struct operand value;
};

struct PACKED save {
    u16 slot;
    u8 size; /* 0: the return value */
    u8 always;
    u32 at; /* in scratch */
};

static u64 value_of(const struct operand *operand)
{
    u64 value = operand->value;
    switch (operand->kind) {
    case OP_SLOT: value += slots[operand->slot % SLOTS]; break;
    case OP_SCRATCH: value += (word)scratch; break;
    case OP_ALIAS: value += ALIAS; break;
    case OP_HOLE: value += HOLE; break;
    case OP_START_INFO: value += entry_state[E_EBX]; break;
    case OP_AP_ENTRY: value += (word)ap_entry; break;
    }
    return operand->shift >= 0 ? value >> operand->shift : value << -operand->shift;
}

static void fault_record(int fault)
{
    u8 vector = fault - 1;
    out_record(REC_FAULT, 0, &vector, 1);
}

static int in_scratch(u32 at, u32 length)
{
    return at <= SCRATCH_SIZE && length <= SCRATCH_SIZE - at;
}

/* Buffers as they were before the call, to tell which of them the call changed. */
static u8 all_before[2][SCRATCH_SIZE];

/* The order in which calls of both vCPUs begin and end. */
static u32 order;

static u32 next_in_order(void)
{
    u32 one = 1;
    __asm__ volatile("lock xaddl %0, %1" : "+r"(one), "+m"(order) : : "memory");
    return one;
}

#define PATIENCE (1u << 28) /* rounds of waiting for the other vCPU */

#define MEETING (1u << 16)  /* the same, where it is no matter if it does not come */

static struct {
    volatile u32 up, round, ready, done; /* `round` counts races, the others follow it */
    volatile u32 at[2];                  /* calls that each is about to make or has made */
    const u8 *calls;
    u32 count;
} race;

/* Wait until the other vCPU is about to make its next call, too, so that the two meet. */
static void meet(u32 me)
{
    u32 mine = ++race.at[me];
    for (u32 i = 0; race.at[!me] < mine && i < MEETING; i++)
        ;
}

/* Non-maskable interrupts that have come since they were last told of. */
static void tell_nmis(struct cpu *cpu)
{
    u32 vector = VEC_NMI;
    for (; cpu->nmis; cpu->nmis--)
        out_record(REC_UPCALL, 0, &vector, sizeof(vector));
}

static void do_hypercall(void *registers)
{
    hypercall(registers);
}

static void step_hypercall(const u8 *body)
{
    const struct call *call = (void *)body;
    const struct operand *args = (void *)(call + 1);
    const u8 *at = (void *)(args + call->args);
    const struct buffer *buffers[32];
    const struct save *saves;
    struct PACKED { u64 nr; u8 by_page, cpl, args, buffers; u32 zero; u64 arg[6]; } head = {
        call->nr, call->by_page, call->cpl, call->args, call->buffers, 0, {0},
    };
    struct PACKED { u8 fault, zero[3]; u32 clobbered; u64 value; } result = {0};
    struct hregs registers = {0};
    struct PACKED { u64 begin, end; } place_in_order = {0, 0};
    struct cpu *cpu = this_cpu();
    u8 *before = all_before[cpu - cpus];
    u32 length, copied = 0;
    int fault = 0;

    /* Elsewhere the instruction may do anything at all. */
    if (!xen_leaves)
        return out_remark(REMARK_NO_XEN);
    if (call->by_page && !hypercall_page)
        return out_remark(REMARK_NO_PAGE);
    if (call->args > 6 || call->buffers > 32)
        return out_remark(REMARK_BAD_PROGRAM);
    for (u32 i = 0; i < call->buffers; i++) {
        const struct buffer *buffer = buffers[i] = (void *)at;
        if (!in_scratch(buffer->start, buffer->total) ||
            !in_scratch(buffer->data_start, buffer->data))
            return out_remark(REMARK_BAD_PROGRAM);
        memset(scratch + buffer->start, buffer->fill, buffer->total);
        memcpy(scratch + buffer->data_start, buffer + 1, buffer->data);
        at = (u8 *)(buffer + 1) + ((buffer->data + 7) & ~7u);
        for (u32 j = 0; j < buffer->patches; j++, at += sizeof(struct patch)) {
            const struct patch *patch = (void *)at;
            u64 value = value_of(&patch->value);
            if (in_scratch(patch->at, patch->size) && patch->size <= 8)
                memcpy(scratch + patch->at, &value, patch->size);
        }
    }
    saves = (void *)at;

    registers.nr = call->nr;
    registers.target = call->by_page ? hypercall_page + 32 * (word)call->nr
                                     : (word)(on_amd ? stub_vmmcall : stub_vmcall);
    for (u32 i = 0; i < 6; i++)
        registers.arg[i] = i < call->args ? (word)value_of(&args[i]) : (word)(0x5eed0000u + i);
    for (u32 i = 0; i < call->args; i++)
        head.arg[i] = registers.arg[i];

    tell_nmis(cpu);

    /* Said before the call is made, so that a call that does not return is still named. */
    length = sizeof(head) - 8 * (6 - call->args);
    for (u32 i = 0; i < call->buffers; i++)
        length += 12 + buffers[i]->total;
    out_header(REC_CALL, 0, length);
    out_bytes(&head, sizeof(head) - 8 * (6 - call->args));
    for (u32 i = 0; i < call->buffers; i++) {
        struct PACKED { u64 at; u32 length; } place = {
            (word)scratch + buffers[i]->start, buffers[i]->total,
        };
        out_bytes(&place, sizeof(place));
        out_scratch(scratch + buffers[i]->start, buffers[i]->total);
        if (copied + buffers[i]->total <= SCRATCH_SIZE)
            memcpy(before + copied, scratch + buffers[i]->start, buffers[i]->total);
        copied += buffers[i]->total;
    }

    if (cpu->log) {
        meet(cpu - cpus);
        place_in_order.begin = next_in_order();
        hypercall(&registers);
        place_in_order.end = next_in_order();
        out_record(REC_ORDER, 0, &place_in_order, sizeof(place_in_order));
    } else {
        fault = attempt(call->cpl == 3 ? user_hypercall : do_hypercall, &registers);
    }

    result.fault = fault;
    result.value = (long)registers.ret;
    for (u32 i = 0; i < call->args && !fault; i++)
        if (registers.after[i] != registers.arg[i])
            result.clobbered |= 1u << i;
    copied = 0;
    length = sizeof(result);
    u8 changed[32];
    for (u32 i = 0; i < call->buffers; i++) {
        const u8 *now = scratch + buffers[i]->start, *then = before + copied;
        u32 total = buffers[i]->total;
        changed[i] = copied + total > SCRATCH_SIZE;
        for (u32 j = 0; j < total && !changed[i]; j++)
            changed[i] = now[j] != then[j];
        copied += total;
        length += 1 + (changed[i] ? total : 0);
    }
    out_header(REC_RETURN, 0, length);
    out_bytes(&result, sizeof(result));
    out_bytes(changed, call->buffers);
    for (u32 i = 0; i < call->buffers; i++)
        if (changed[i])
            out_scratch(scratch + buffers[i]->start, buffers[i]->total);

    tell_nmis(cpu);

    for (u32 i = 0; i < call->saves; i++) {
        u64 value = 0;
        if (fault || ((long)registers.ret < 0 && !saves[i].always))
            continue;
        if (!saves[i].size)
            value = result.value;
        else if (saves[i].size <= 8 && in_scratch(saves[i].at, saves[i].size))
            memcpy(&value, scratch + saves[i].at, saves[i].size);
        slots[saves[i].slot % SLOTS] = value;
    }
}

static void step_cpuid(u32 leaf, u32 subleaf)
{
    struct PACKED { u32 leaf, subleaf, out[4]; } record = {leaf, subleaf, {0}};
    u32 out[4];
    cpuid(leaf, subleaf, out);
    memcpy(record.out, out, sizeof(out));
    out_record(REC_CPUID, 0, &record, sizeof(record));
}

static void step_msr(int is_write, u32 index, u64 value)
{
    struct PACKED { u8 is_write, fault, zero[2]; u32 index; u64 value; } record = {
        .is_write = is_write, .index = index,
    };
    record.fault = is_write ? write_msr(index, value) : read_msr(index, &value);
    record.value = value;
    out_record(REC_MSR, 0, &record, sizeof(record));
}

static void step_window(u32 spins, u32 limit, u32 clear)
{
    window = (struct window){.limit = limit, .clear = clear, .open = 1};
    __asm__ volatile("sti; nop; nop" : : : "memory");
    for (u32 i = 0; i < spins; i++)
        __asm__ volatile("pause" : : : "memory");
    __asm__ volatile("cli" : : : "memory");
    window.open = 0;
    if (window.taken < limit) /* else the last interrupt closed it */
        out_record(REC_WINDOW, 0, NULL, 0);
}

/* ---- two vCPUs at once ---------------------------------------------------------------------- */

static u8 logs[2][LOG_SIZE];

static void make_calls(const u8 *at, u32 count)
{
    u32 me = this_cpu() - cpus;
    for (; count; count--) {
        const struct step *step = (void *)at;
        if (step->type == STEP_HYPERCALL)
            step_hypercall(step->body);
        at += step->size;
    }
    race.at[me] = ~0u; /* the other need not wait any more */
}

/* The other vCPU, from its start to the end of the run. */
void ap_main(void)
{
    cpu_start_other();
    race.up = 1;
    for (u32 round = 1;; round++) {
        cpu_sleep_until(&race.round, round);
        race.ready = round;
        make_calls(race.calls, race.count);
        race.done = round;
    }
}

static int reached(volatile u32 *number, u32 value)
{
    for (u32 i = 0; *number != value && i < PATIENCE; i++)
        __asm__ volatile("pause" : : : "memory");
    return *number == value;
}

static void step_race(const u8 *body)
{
    struct PACKED lists { u32 count[2], size[2]; u8 calls[]; };
    const struct lists *lists = (void *)body;
    if (!race.up)
        return out_remark(REMARK_NO_VCPU);
    for (u32 i = 0; i < 2; i++) {
        cpus[i].used = 0;
        cpus[i].log = logs[i];
        race.at[i] = 0;
    }
    race.calls = lists->calls + lists->size[0];
    race.count = lists->count[1];
    __asm__ volatile("" : : : "memory");
    race.round++;
    cpu_wake_others();
    if (reached(&race.ready, race.round))
        make_calls(lists->calls, lists->count[0]);
    int whole = reached(&race.done, race.round);
    cpus[0].log = NULL;
    cpus[1].log = NULL;
    for (u32 i = 0; i < 2; i++)
        out_bytes(logs[i], cpus[i].used);
    if (!whole)
        out_remark(REMARK_NO_VCPU);
}

/* The last word of a page: read, stored to, and read again. Where no page is the hypervisor answers
 * for it, or there is a fault. */
static void step_touch(u64 gfn, u64 value)
{
    struct PACKED { u64 gfn, before, stored, after, fault; } record = {gfn, 0, value, 0, 0};
    void *place = (void *)((word)gfn << 12 | 0xff8);
    if (gfn >> 20)
        return out_remark(REMARK_BAD_PROGRAM);
    record.fault = copy(&record.before, place, 8) || copy(place, &record.stored, 8) ||
                   copy(&record.after, place, 8);
    out_record(REC_TOUCH, 0, &record, sizeof(record));
}

/* ---- two domains in turn -------------------------------------------------------------------- */

#define TURNS (1u << 17) /* rounds of waiting for the other domain */

static void yield(void)
{
    struct hregs call = {
        .nr = 29, /* sched_op, SCHEDOP_yield */
        .target = (word)(on_amd ? stub_vmmcall : stub_vmcall),
    };
    hypercall(&call);
}

/* A page that both domains see: whose turn it is, and the slots, which they have in common. */
static void step_turn(word address, u32 give, u32 take)
{
    struct { volatile u64 turn; u64 slots[SLOTS]; } *page = (void *)address;
    if (!xen_leaves)
        return out_remark(REMARK_NO_XEN);
    if (give) {
        memcpy(page->slots, slots, sizeof(slots));
        out_record(REC_TURN, 0, NULL, 0);
        __asm__ volatile("" : : : "memory");
        page->turn = give;
    }
    if (!take)
        return;
    for (u32 i = 0; page->turn != take; i++) {
        if (i == TURNS) {
            out_remark(REMARK_NO_TURN);
            finish(1);
        }
        yield();
    }
    __asm__ volatile("" : : : "memory");
    memcpy(slots, page->slots, sizeof(slots));
}

static void do_step(const struct step *step)
{
    const u8 *body = step->body;
    const struct operand *operand = (void *)body;
    const u32 *number = (void *)body;
    const u32 *after = (void *)(operand + 1); /* numbers that follow an operand */
    int fault;

    switch (step->type) {
    case STEP_HYPERCALL: step_hypercall(body); break;
    case STEP_CPUID: step_cpuid(number[0], number[1]); break;
    case STEP_READ_MSR: step_msr(0, after[0], 0); break;
    case STEP_WRITE_MSR: step_msr(1, after[0], value_of(operand)); break;
    case STEP_READ: out_memory(MEM_STEP, value_of(operand), after[0]); break;
    case STEP_WRITE:
        fault = copy((void *)(word)value_of(operand), after + 1, after[0]);
        if (fault)
            fault_record(fault);
        break;
    case STEP_USE_PAGE: hypercall_page = value_of(operand); break;
    case STEP_USE_SHARED: shared_use(value_of(operand), after[0]); break;
    case STEP_USE_VCPU: shared_use_vcpu(after[0], value_of(operand)); break;
    case STEP_SHARED: shared_snapshot(number[0], number[1]); break;
    case STEP_USE_FIFO: shared_use_fifo(after[0], after[1], value_of(operand)); break;
    case STEP_FIFO: shared_fifo(number[0]); break;
    case STEP_APIC: cpu_apic(number[0], number[1]); break;
    case STEP_STORE: shared_store(after[0], after[1], after[2], value_of(operand)); break;
    case STEP_WINDOW: step_window(number[0], number[1], number[2]); break;
    case STEP_NOTE: out_remark(REMARK_STEP); break;
    case STEP_HANG:
        for (;;)
            __asm__ volatile("pause");
    case STEP_SIPI: cpu_send_sipi(); break;
    case STEP_AWAIT_VCPU: out_remark(reached(&race.up, 1) ? REMARK_VCPU : REMARK_NO_VCPU); break;
    case STEP_RACE: step_race(body); break;
    case STEP_TOUCH: step_touch(value_of(operand), value_of(operand + 1)); break;
    case STEP_TURN: step_turn(value_of(operand), after[0], after[1]); break;
    default: out_remark(REMARK_BAD_PROGRAM);
    }
}

void run(const u8 *program)
{
    u32 size = *(u32 *)(program + 8), steps = *(u32 *)(program + 12);
    const u8 *at = program + 16, *end = program + size;
    for (u32 i = 0; i < steps; i++) {
        const struct step *step = (void *)at;
        current_step = i;
        if (end - at < (long)sizeof(*step) || step->size < sizeof(*step) ||
            step->size > (u32)(end - at))
            return out_remark(REMARK_BAD_PROGRAM);
        do_step(step);
        at += step->size;
    }
    current_step = NO_STEP;
}

/* Without a program: the hypervisor leaves of CPUID, wherever they start. */
void run_default(void)
{
    u32 regs[4], base = xen_leaves;
    out_remark(REMARK_NO_PROGRAM);
    if (!base)
        return step_cpuid(0x40000000, 0);
    cpuid(base, 0, regs);
    for (u32 leaf = base; leaf <= regs[0] && leaf < base + 16; leaf++)
        step_cpuid(leaf, 0);
}
