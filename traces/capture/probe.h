/* What the parts of the probe share. */
#ifndef PROBE_H
#define PROBE_H
#include "layout.h"

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long word; /* 32 or 64 bits: the probe's width */

#define WIDTH (8 * (int)sizeof(word))
#define PACKED __attribute__((packed))
#define NULL ((void *)0)

/* Sizes and addresses. =PY */
#define SLOTS 64
#define BUFFER_SPACE 0x10000
#define AREA_SIZE 0x40000
#define SCRATCH_SIZE (BUFFER_SPACE + AREA_SIZE)
#define HOLE 0xe0000000u               /* linear; nothing is mapped in its first MiB */
#define ALIAS (HOLE + 0x200000u)       /* linear; scratch memory again, read-only */
#define PROGRAM_FALLBACK 0x4000000u    /* where a program is looked for if no module holds it */

/* Records sent out. =PY */
enum record {
    REC_HELLO = 1, REC_ENTRY, REC_MEM, REC_CPUID, REC_MSR, REC_CALL, REC_RETURN, REC_SHARED,
    REC_STORE, REC_UPCALL, REC_WINDOW, REC_CRASH, REC_END, REC_NOTE, REC_FAULT, REC_ORDER,
    REC_FIFO, REC_APIC, REC_TOUCH, REC_TURN,
};

/* Labels of REC_MEM. =PY */
enum label {
    MEM_STEP, MEM_START_INFO, MEM_MODLIST, MEM_MEMMAP, MEM_CMDLINE, MEM_MODULE_CMDLINE, MEM_RSDP,
    MEM_GDT, MEM_IDT,
};

/* Texts of REC_NOTE that the probe itself may send. =PY */
enum remark { REMARK_STEP, REMARK_NO_PROGRAM, REMARK_BAD_PROGRAM, REMARK_BAD_START_INFO,
              REMARK_NO_SHARED, REMARK_NO_PAGE, REMARK_NO_XEN, REMARK_VCPU, REMARK_NO_VCPU,
              REMARK_NO_TURN };

struct PACKED record_header {
    u8 type, flags;
    u16 vcpu;
    u32 step;   /* index of the step, or NO_STEP */
    u32 length; /* bytes that follow */
    u64 tsc;
};
#define NO_STEP 0xffffffffu

/* machine.S */
struct hregs {
    word nr, arg[6], target, ret, after[6];
};
extern u32 entry_state[E_WORDS];
extern u8 gdt[], vector_stubs[], stack_end[], trap_stack_end[];
extern u8 ap_stack[], ap_entry[], ap_trampoline[], ap_trampoline_end[];
extern word page_root[], page_pointers[], page_directory[], alias_table[];
extern word landing;
int attempt(void (*function)(void *), void *argument);
void attempt_failed(int result) __attribute__((noreturn));
void hypercall(struct hregs *);
void user_hypercall(void *);
void stub_vmcall(void);
void stub_vmmcall(void);

/* What each of the two vCPUs that may run has for itself. Records go into its log, if it has one,
 * while both make calls at once. */
struct cpu {
    u8 *log;
    u32 used;
    u16 vcpu;
    volatile u16 nmis; /* taken, and not told yet */
};
extern struct cpu cpus[2];
static inline struct cpu *this_cpu(void)
{
    u8 here;
    return &cpus[(word)(&here - ap_stack) < AP_STACK];
}
#define LOG_SIZE 0x20000

/* cpu.c */
struct window {
    u32 taken, limit, clear, open;
};
extern struct window window;
extern int on_amd;
extern u32 xen_leaves; /* the first of Xen's CPUID leaves, or 0 */
void cpu_start(void);
void cpu_start_other(void); /* the same for the other vCPU, which takes no interrupts */
void cpu_apic(u32 offset, u32 value); /* write a register of the local APIC, and report it */
void cpu_send_sipi(void);   /* INIT-SIPI-SIPI to all others */
void cpu_wake_others(void);
void cpu_sleep_until(const volatile u32 *number, u32 value); /* woken for each change of it */
int read_msr(u32 index, u64 *value);  /* 0, or vector + 1 */
int write_msr(u32 index, u64 value);
int copy(void *to, const void *from, u32 length);  /* 0, or vector + 1 */
static inline void cpuid(u32 leaf, u32 subleaf, u32 out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "a"(leaf), "c"(subleaf));
}

/* out.c */
extern u32 current_step;
void out_start(void);
void out_bytes(const void *data, u32 length);
void out_scratch(const void *data, u32 length);
void out_header(enum record type, u8 flags, u32 length);
void out_record(enum record type, u8 flags, const void *data, u32 length);
void out_memory(enum label label, word address, u32 length);
void out_remark(enum remark remark);
void finish(u32 reason) __attribute__((noreturn));

/* shared.c */
void shared_use(word address, u32 width);
void shared_use_vcpu(u32 vcpu, word address);
void shared_snapshot(u32 vcpus, u32 width);
void shared_store(u32 what, u32 index, u32 op, u64 value);
void shared_upcall_taken(void);
void shared_use_fifo(u32 block, u32 number, word address); /* a control block, or a page of words */
void shared_fifo(u32 vcpus);

/* boot.c: what the hypervisor handed over; returns the program or NULL */
const u8 *boot_record(void);

/* run.c */
extern u8 scratch[SCRATCH_SIZE];
void run(const u8 *program);
void ap_main(void);
void run_default(void);

void *memcpy(void *, const void *, word);
void *memset(void *, int, word);
#endif
