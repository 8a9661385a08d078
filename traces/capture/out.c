/* The way out: records through an I/O port that the hypervisor leaves alone. */
#include "probe.h"

#define PORT_DEBUG 0x402
#define PORT_EXIT 0xf4
#define PORT_KEYBOARD 0x64

u32 current_step = NO_STEP;
struct cpu cpus[2] = {{.vcpu = 0}, {.vcpu = 1}};

static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

void out_bytes(const void *data, u32 length)
{
    struct cpu *cpu = this_cpu();
    word count = length;
    if (cpu->log) {
        if (length <= LOG_SIZE - cpu->used) {
            memcpy(cpu->log + cpu->used, data, length);
            cpu->used += length;
        }
        return;
    }
    __asm__ volatile("rep outsb" : "+S"(data), "+c"(count) : "d"((u16)PORT_DEBUG) : "memory");
}

/* Memory whose page may have been given away, by way of our own: Xen emulates an OUTS that reads a
 * hole, and what it read then comes nowhere. */
void out_scratch(const void *data, u32 length)
{
    u8 piece[256];
    for (u32 part; length; data = (const u8 *)data + part, length -= part) {
        part = length < sizeof(piece) ? length : sizeof(piece);
        memcpy(piece, data, part);
        out_bytes(piece, part);
    }
}

static u64 tsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((u64)high << 32) | low;
}

void out_header(enum record type, u8 flags, u32 length)
{
    struct record_header header = {
        .type = type, .flags = flags, .vcpu = this_cpu()->vcpu, .step = current_step,
        .length = length, .tsc = tsc(),
    };
    out_bytes(&header, sizeof(header));
}

void out_record(enum record type, u8 flags, const void *data, u32 length)
{
    out_header(type, flags, length);
    out_bytes(data, length);
}

/* Memory that may not be there: copied under attempt() piece by piece, so that what is readable
 * is sent; what faults ends it. */
void out_memory(enum label label, word address, u32 length)
{
    static u8 piece[0x1000], again[64];
    while (length) {
        u32 part = length < sizeof(piece) ? length : sizeof(piece);
        u64 at = address;
        int fault = copy(piece, (void *)address, part);
        /* What Xen may be writing is read until it is whole. */
        if (!fault && part <= sizeof(again))
            for (u32 i = 0; i < 100 && !copy(again, (void *)address, part); i++) {
                u32 same = 0;
                while (same < part && piece[same] == again[same])
                    same++;
                if (same == part)
                    break;
                memcpy(piece, again, part);
            }
        if (fault) {
            u8 vector = fault - 1;
            out_record(REC_FAULT, 0, &vector, 1);
            return;
        }
        out_header(REC_MEM, label, 8 + part);
        out_bytes(&at, 8);
        out_bytes(piece, part);
        address += part;
        length -= part;
    }
}

void out_remark(enum remark remark)
{
    out_header(REC_NOTE, remark, 0);
}

/* The first bytes of all: firmware may have written text to the same port before us. */
void out_start(void)
{
    static const u8 magic[16] = "\x89PVHprobe/1\r\n\x1a\n";
    struct PACKED {
        u8 width, amd, pad[2];
        u8 vendor[12];
        u64 scratch, hole, alias, start_info;
    } hello = {
        .width = WIDTH,
        .scratch = (word)scratch,
        .hole = HOLE,
        .alias = ALIAS,
        .start_info = entry_state[E_EBX],
    };
    u32 regs[4];
    cpuid(0, 0, regs);
    memcpy(hello.vendor + 0, &regs[1], 4);
    memcpy(hello.vendor + 4, &regs[3], 4);
    memcpy(hello.vendor + 8, &regs[2], 4);
    on_amd = regs[2] == 0x444d4163 /* "cAMD" */ || regs[2] == 0x656e6975 /* Hygon, "uine" */;
    hello.amd = on_amd;
    out_bytes(magic, sizeof(magic));
    out_record(REC_HELLO, 0, &hello, sizeof(hello));
}

/* The end: QEMU's exit device where it is, else Xen's shutdown call, else a reset line, else a
 * triple fault. The caller has said all it had to say. */
void finish(u32 reason)
{
    static const struct PACKED { u16 limit; word base; } no_idt;
    current_step = NO_STEP;
    this_cpu()->log = NULL;
    out_record(REC_END, 0, &reason, 4);
    outl(PORT_EXIT, reason);
    if (xen_leaves) {
        static u32 shutdown_reboot = 1;
        struct hregs call = {
            .nr = 29, .arg = {2, (word)&shutdown_reboot},
            .target = (word)(on_amd ? stub_vmmcall : stub_vmcall),
        };
        hypercall(&call);
    }
    outb(PORT_KEYBOARD, 0xfe);
    __asm__ volatile("lidt %0; int3" : : "m"(no_idt));
    for (;;)
        __asm__ volatile("cli; hlt");
}

void *memcpy(void *to, const void *from, word length)
{
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
    return result;
}

void *memset(void *to, int value, word length)
{
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(length) : "a"(value) : "memory");
    return result;
}
