/* Interrupts, faults, paging with a hole and a read-only alias, MSRs. */
#include "probe.h"

#if __x86_64__
struct frame {
    word r15, r14, r13, r12, r11, r10, r9, r8, bp, di, si, dx, cx, bx, ax;
    word vector, error, ip, cs, flags;
};
struct PACKED gate {
    u16 low, selector;
    u8 ist, attr;
    u16 middle;
    u32 high, zero;
};
struct PACKED tss {
    u32 zero;
    u64 sp0;
    u8 rest[92];
};
#else
struct frame {
    word di, si, bp, sp, bx, dx, cx, ax;
    word vector, error, ip, cs, flags;
};
struct PACKED gate {
    u16 low, selector;
    u8 ist, attr;
    u16 middle;
};
struct PACKED tss {
    u32 link, sp0, ss0;
    u8 rest[92];
};
#endif

#define FLAG_IF 0x200
#define LAPIC 0xfee00000u
#define APIC_SPURIOUS 0xf0
#define APIC_ON 0x100
#define APIC_COMMAND 0x300
#define APIC_OTHERS 0xc4000 /* asserted, to all but itself */

struct window window;
int on_amd;
u32 xen_leaves;

static struct gate idt[256] __attribute__((aligned(16)));
static struct tss tss;

static volatile u32 *apic_register(u32 offset)
{
    return (volatile u32 *)(word)(LAPIC + offset);
}
#define apic(offset) (*apic_register(offset))

static void set_gate(u32 vector, u32 privilege)
{
    word address = (word)vector_stubs + 16 * vector;
    idt[vector] = (struct gate){
        .low = address,
        .selector = WIDTH == 64 ? SEL_CODE64 : SEL_CODE32,
        .attr = 0x8e | privilege << 5,
        .middle = address >> 16,
    };
}

#if __x86_64__
/* The entry stub has mapped 4 GiB by 2 MiB pages; two of them change. */
static void map_hole(void)
{
    u32 at = HOLE >> 21;
    page_directory[at] = 0;
    for (u32 i = 0; i < SCRATCH_SIZE / 0x1000; i++)
        alias_table[i] = ((word)scratch + i * 0x1000) | 5; /* user, read-only, present */
    page_directory[at + 1] = (word)alias_table | 7;
    __asm__ volatile("mov %0, %%cr3" : : "r"(page_root) : "memory");
}
#else
static void paging_on(void)
{
    word cr;
    __asm__ volatile("mov %%cr4, %0; or $0x10, %0; mov %0, %%cr4" : "=r"(cr)); /* PSE */
    __asm__ volatile("mov %0, %%cr3" : : "r"(page_directory) : "memory");
    __asm__ volatile("mov %%cr0, %0; or $0x80010000, %0; mov %0, %%cr0" : "=r"(cr)); /* PG, WP */
}

/* Identity map by 4 MiB pages; one becomes the hole and, in its upper half, the alias. */
static void map_hole(void)
{
    for (u32 i = 0; i < 1024; i++)
        page_directory[i] = i << 22 | 0x87;
    for (u32 i = 0; i < SCRATCH_SIZE / 0x1000; i++)
        alias_table[512 + i] = ((word)scratch + i * 0x1000) | 5;
    page_directory[HOLE >> 22] = (word)alias_table | 7;
    paging_on();
}
#endif

static u32 find_xen(void)
{
    u32 regs[4];
    for (u32 base = 0x40000000; base < 0x40010000; base += 0x100) {
        cpuid(base, 0, regs);
        if (regs[1] == 0x566e6558 && regs[2] == 0x65584d4d && regs[3] == 0x4d4d566e)
            return base; /* "XenVMMXenVMM" */
    }
    return 0;
}

static void use_idt(void)
{
    struct PACKED { u16 limit; word base; } idt_register = {sizeof(idt) - 1, (word)idt};
    __asm__ volatile("lidt %0" : : "m"(idt_register));
}

/* Xen tells a vCPU which one it is; elsewhere the second that runs is taken for vCPU 1. */
static u32 vcpu_number(void)
{
    u32 regs[4] = {0};
    if (xen_leaves)
        cpuid(xen_leaves + 4, 0, regs);
    return regs[0] & 8 ? regs[1] : 1;
}

void cpu_start_other(void)
{
    this_cpu()->vcpu = vcpu_number();
#if !__x86_64__
    if (xen_leaves)
        paging_on();
#endif
    use_idt();
    apic(APIC_SPURIOUS) |= APIC_ON;
}

static void pause_for(u32 rounds)
{
    while (rounds--)
        __asm__ volatile("pause" : : : "memory");
}

void cpu_apic(u32 offset, u32 value)
{
    struct PACKED { u32 offset, value; } written = {offset & 0xff0, value};
    apic(written.offset) = value;
    out_record(REC_APIC, 0, &written, sizeof(written));
}

void cpu_send_sipi(void)
{
    static const u32 commands[] = {
        APIC_OTHERS | 0x500, APIC_OTHERS | 0x600 | TRAMPOLINE >> 12,
        APIC_OTHERS | 0x600 | TRAMPOLINE >> 12,
    };
    memcpy((void *)(word)TRAMPOLINE, ap_trampoline, ap_trampoline_end - ap_trampoline);
    apic(APIC_SPURIOUS) |= APIC_ON;
    for (u32 i = 0; i < 3; i++) {
        apic(APIC_COMMAND) = commands[i];
        pause_for(10000);
    }
}

void cpu_wake_others(void)
{
    apic(APIC_SPURIOUS) |= APIC_ON;
    apic(APIC_COMMAND) = APIC_OTHERS | VEC_WAKE;
}

/* A vCPU that spins would take the time of those that do something. */
void cpu_sleep_until(const volatile u32 *number, u32 value)
{
    while (*number != value)
        __asm__ volatile("sti; hlt; cli" : : : "memory");
}

void cpu_start(void)
{
    word base = (word)&tss;
    u64 *descriptor = (u64 *)(gdt + SEL_TSS);

    /* Only hypercalls need it, and some KVMs cannot run 32-bit paging. */
    xen_leaves = find_xen();
    if (xen_leaves)
        map_hole();
    tss.sp0 = (word)trap_stack_end;
#if !__x86_64__
    tss.ss0 = SEL_DATA;
#endif
    descriptor[0] = (sizeof(tss) - 1) | (u64)(base & 0xffffff) << 16 | 0x89ull << 40 |
                    (u64)((base >> 24) & 0xff) << 56;
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    for (u32 i = 0; i < 256; i++)
        set_gate(i, i == VEC_USER_EXIT ? 3 : 0);
    use_idt();
}

/* Is this vector in service at the local APIC? Then it is ours to end. */
static void end_of_interrupt(u32 vector)
{
    if (apic(0x100 + 0x10 * (vector / 32)) & (1u << (vector % 32)))
        apic(0xb0) = 0;
}

/* Interrupts come at vectors from 32 up; in a window, where nothing faults, also at those from 16
 * up that no error code belongs to (the hypervisor lets the guest choose them). */
static int is_arrival(u32 vector)
{
    if (vector >= 32)
        return 1;
    return window.open && vector >= 16 && vector != 17 && vector != 21;
}

void trap(struct frame *frame)
{
    u32 vector = frame->vector;
    int from_user = (frame->cs & 3) == 3;

    if (vector == VEC_NMI && !from_user) {
        this_cpu()->nmis++; /* told beside the calls: it may come before one of them has returned */
        return;
    }
    if (from_user || !is_arrival(vector)) {
        struct PACKED { u64 vector, error, ip, address; } crash = {
            vector, frame->error, frame->ip, 0,
        };
        word cr2;
        this_cpu()->log = NULL; /* what the other vCPU does now is of no interest */
        if (landing)
            attempt_failed(from_user && vector == VEC_USER_EXIT ? 0 : (int)vector + 1);
        __asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
        crash.address = cr2;
        out_record(REC_CRASH, 0, &crash, sizeof(crash));
        finish(1);
    }
    if (vector == VEC_WAKE)
        return end_of_interrupt(vector);
    out_record(REC_UPCALL, 0, &vector, 4);
    if (window.clear)
        shared_upcall_taken();
    end_of_interrupt(vector);
    if (++window.taken >= window.limit)
        frame->flags &= ~(word)FLAG_IF;
}

struct msr {
    u32 index;
    u64 value;
};

static void do_read_msr(void *argument)
{
    struct msr *msr = argument;
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr->index));
    msr->value = (u64)high << 32 | low;
}

static void do_write_msr(void *argument)
{
    struct msr *msr = argument;
    __asm__ volatile("wrmsr"
                     :
                     : "a"((u32)msr->value), "d"((u32)(msr->value >> 32)), "c"(msr->index)
                     : "memory");
}

int read_msr(u32 index, u64 *value)
{
    struct msr msr = {index, 0};
    int fault = attempt(do_read_msr, &msr);
    *value = msr.value;
    return fault;
}

int write_msr(u32 index, u64 value)
{
    struct msr msr = {index, value};
    return attempt(do_write_msr, &msr);
}

struct move {
    void *to;
    const void *from;
    u32 length;
};

static void do_copy(void *argument)
{
    struct move *move = argument;
    volatile void *to = move->to;
    const volatile void *from = move->from;
    switch (move->length) {
    case 1: *(volatile u8 *)to = *(const volatile u8 *)from; break;
    case 2: *(volatile u16 *)to = *(const volatile u16 *)from; break;
    case 4: *(volatile u32 *)to = *(const volatile u32 *)from; break;
    case 8: *(volatile u64 *)to = *(const volatile u64 *)from; break;
    default: memcpy(move->to, move->from, move->length);
    }
}

/* Copy that may fault: 0, or vector + 1. Lengths 1, 2, 4 and 8 are one access each (8 is two on a
 * 32-bit probe). */
int copy(void *to, const void *from, u32 length)
{
    struct move move = {to, from, length};
    return attempt(do_copy, &move);
}
