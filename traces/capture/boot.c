/* What the hypervisor handed over at entry, reported before anything else is read or written. */
#include "probe.h"

struct start_info {
    u32 magic, version, flags, nr_modules;
    u64 modlist, cmdline, rsdp, memmap;
    u32 memmap_entries, reserved;
};
struct module {
    u64 address, size, cmdline, reserved;
};

#define MAX_MODULES 64
#define MAX_MEMMAP 1024
#define MAX_TEXT 4096

static int reachable(u64 address, u64 length)
{
    return address && address + length > address && address + length <= 0x100000000ull;
}

static void report_text(enum label label, u64 address)
{
    u32 length = 0;
    if (!reachable(address, MAX_TEXT))
        return;
    while (length < MAX_TEXT && ((const volatile u8 *)(word)address)[length++])
        ;
    out_memory(label, address, length);
}

static int is_program(u64 address, u64 size)
{
    static const u8 magic[8] = "PVHPROG1";
    u8 head[16];
    if (!reachable(address, size) || size < 16 || copy(head, (void *)(word)address, 16))
        return 0;
    for (u32 i = 0; i < 8; i++)
        if (head[i] != magic[i])
            return 0;
    return *(u32 *)(head + 8) <= size;
}

static void report_table(enum label label, u32 base, u32 limit)
{
    u32 length = limit + 1 < 0x1000 ? limit + 1 : 0x1000;
    out_memory(label, base, length);
}

const u8 *boot_record(void)
{
    const struct start_info *info = (void *)(word)entry_state[E_EBX];
    const u8 *program = NULL;
    /* Paging is off or an identity map of 4 GiB, and nothing below 4 GiB faults: what is not there
     * reads as ones. No IDT is needed yet, and the CPU is as it was but for its registers. */
    out_record(REC_ENTRY, 0, entry_state, 4 * E_WORDS);
    report_table(MEM_GDT, entry_state[E_GDT_BASE], entry_state[E_GDT_LIMIT]);
    report_table(MEM_IDT, entry_state[E_IDT_BASE], entry_state[E_IDT_LIMIT]);
    if (!reachable((word)info, sizeof(*info))) {
        out_remark(REMARK_BAD_START_INFO);
        return NULL;
    }
    out_memory(MEM_START_INFO, (word)info, sizeof(*info));
    if (info->magic != 0x336ec578) {
        out_remark(REMARK_BAD_START_INFO);
        return NULL;
    }
    report_text(MEM_CMDLINE, info->cmdline);
    if (reachable(info->rsdp, 36))
        out_memory(MEM_RSDP, info->rsdp, 36);
    if (info->nr_modules && info->nr_modules <= MAX_MODULES && reachable(info->modlist, 0x1000)) {
        const struct module *list = (void *)(word)info->modlist;
        out_memory(MEM_MODLIST, (word)list, info->nr_modules * sizeof(*list));
        for (u32 i = 0; i < info->nr_modules; i++) {
            report_text(MEM_MODULE_CMDLINE, list[i].cmdline);
            if (!program && is_program(list[i].address, list[i].size))
                program = (void *)(word)list[i].address;
        }
    }
    if (info->version >= 1 && info->memmap_entries <= MAX_MEMMAP &&
        reachable(info->memmap, 24 * MAX_MEMMAP))
        out_memory(MEM_MEMMAP, info->memmap, 24 * info->memmap_entries);
    if (!program && is_program(PROGRAM_FALLBACK, 16 << 20))
        program = (void *)(word)PROGRAM_FALLBACK;
    return program;
}

void probe_main(void)
{
    const u8 *program;
    out_start();
    program = boot_record();
    cpu_start();
    if (program)
        run(program);
    else
        run_default();
    finish(0);
}
