/* vmm SECONDS MACHINE STATE: a virtual machine of KVM's, as the lines of the file MACHINE describe
 * it, until it ends, and at most so many seconds.
 *
 *   ram GPA SIZE                    memory, all zero; none of it is there before it is touched
 *   load GPA OFFSET LENGTH FILE     a part of a file, put into it
 *   vcpus N                         vCPU 0 starts as below, the others wait to be started
 *   reg NAME VALUE                  a register of vCPU 0; others are 0
 *   seg NAME SEL BASE LIMIT ATTR    ATTR packed as in struct vcpu_hvm_x86_32
 *
 * What the guest writes to port 0x402 is appended to the file guest.out; a word written to port
 * 0xf4 ends it all. STATE is written: the registers of vCPU 0 as KVM has them before its first
 * instruction, in the form of MACHINE, and how it ended. Nothing here knows of PVH: who starts a
 * guest wrongly on purpose says so in the lines.
 *
 * Exit status 0 the guest ended, 3 this KVM cannot do what is asked, 2 the lines are wrong. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vmm.h"

#define MAX_RAM 4
#define MAX_VCPUS 16
#define MAX_LEAVES 256
#define PORT_DEBUG 0x402
#define PORT_EXIT 0xf4

static struct { u64 gpa, size; u8 *at; } ram[MAX_RAM];
static u32 rams, vcpus = 1;
static int kvm, vm, vcpu_fds[MAX_VCPUS], out;
static u64 written;
static size_t run_size;
static struct kvm_regs regs;
static struct kvm_sregs sregs;
static struct kvm_debugregs debug = {.dr6 = 0xffff0ff0, .dr7 = 0x400};

_Noreturn void stop(int status, const char *what)
{
    printf("end %s%s%s\n", what, errno && status ? ": " : "", errno && status ? strerror(errno) : "");
    fflush(stdout);
    if (alone)
        end_alone(status);
    _exit(status);
}

int need(int result, const char *what)
{
    if (result < 0)
        stop(3, what);
    return result;
}

/* ---- registers by name ---------------------------------------------------------------------- */

static const struct { const char *name; void *at; } registers[] = {
    {"rax", &regs.rax}, {"rbx", &regs.rbx}, {"rcx", &regs.rcx}, {"rdx", &regs.rdx},
    {"rsi", &regs.rsi}, {"rdi", &regs.rdi}, {"rbp", &regs.rbp}, {"rsp", &regs.rsp},
    {"rip", &regs.rip}, {"rflags", &regs.rflags}, {"cr0", &sregs.cr0}, {"cr2", &sregs.cr2},
    {"cr3", &sregs.cr3}, {"cr4", &sregs.cr4}, {"efer", &sregs.efer}, {"dr6", &debug.dr6},
    {"dr7", &debug.dr7}, {"gdtr.base", &sregs.gdt.base}, {"idtr.base", &sregs.idt.base},
};
static const struct { const char *name; u16 *at; } limits[] = {
    {"gdtr.limit", &sregs.gdt.limit}, {"idtr.limit", &sregs.idt.limit},
};
static const struct { const char *name; struct kvm_segment *at; } segments[] = {
    {"cs", &sregs.cs}, {"ds", &sregs.ds}, {"es", &sregs.es}, {"ss", &sregs.ss},
    {"fs", &sregs.fs}, {"gs", &sregs.gs}, {"ldtr", &sregs.ldt}, {"tr", &sregs.tr},
};
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int set_register(const char *name, u64 value)
{
    for (size_t i = 0; i < COUNT(registers); i++)
        if (!strcmp(name, registers[i].name))
            return *(u64 *)registers[i].at = value, 1;
    for (size_t i = 0; i < COUNT(limits); i++)
        if (!strcmp(name, limits[i].name))
            return *limits[i].at = value, 1;
    return 0;
}

static int set_segment(const char *name, u64 sel, u64 base, u64 limit, u64 attr)
{
    for (size_t i = 0; i < COUNT(segments); i++)
        if (!strcmp(name, segments[i].name)) {
            *segments[i].at = (struct kvm_segment){
                .selector = sel, .base = base, .limit = limit, .type = attr & 15,
                .s = attr >> 4 & 1, .dpl = attr >> 5 & 3, .present = attr >> 7 & 1,
                .avl = attr >> 8 & 1, .l = attr >> 9 & 1, .db = attr >> 10 & 1,
                .g = attr >> 11 & 1, .unusable = !(attr >> 7 & 1),
            };
            return 1;
        }
    return 0;
}

static void show_state(void)
{
    need(ioctl(vcpu_fds[0], KVM_GET_REGS, &regs), "KVM_GET_REGS");
    need(ioctl(vcpu_fds[0], KVM_GET_SREGS, &sregs), "KVM_GET_SREGS");
    for (size_t i = 0; i < COUNT(registers); i++)
        printf("reg %s 0x%llx\n", registers[i].name, (long long)*(u64 *)registers[i].at);
    for (size_t i = 0; i < COUNT(limits); i++)
        printf("reg %s 0x%x\n", limits[i].name, *limits[i].at);
    for (size_t i = 0; i < COUNT(segments); i++) {
        const struct kvm_segment *s = segments[i].at;
        u32 attr = s->type | s->s << 4 | s->dpl << 5 | s->present << 7 | s->avl << 8 | s->l << 9 |
                   s->db << 10 | s->g << 11;
        printf("seg %s 0x%x 0x%llx 0x%x 0x%x\n", segments[i].name, s->selector, (long long)s->base,
               s->limit, attr);
    }
    fflush(stdout);
}

/* ---- the description ------------------------------------------------------------------------ */

static void *memory(u64 gpa, u64 length)
{
    for (u32 i = 0; i < rams; i++)
        if (gpa >= ram[i].gpa && length <= ram[i].size && gpa - ram[i].gpa <= ram[i].size - length)
            return ram[i].at + (gpa - ram[i].gpa);
    return NULL;
}

static int add_ram(u64 gpa, u64 size)
{
    if (rams == MAX_RAM)
        return 0;
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        stop(3, "no such memory");
    ram[rams].gpa = gpa;
    ram[rams].size = size;
    ram[rams++].at = at;
    return 1;
}

static int load(u64 gpa, u64 offset, u64 length, const char *path)
{
    u8 *to = memory(gpa, length);
    int file = open(path, O_RDONLY);
    if (!to || file < 0)
        return 0;
    while (length) {
        ssize_t got = pread(file, to, length, offset);
        if (got <= 0)
            return 0;
        to += got, offset += got, length -= got;
    }
    close(file);
    return 1;
}

static int understood(const char *line)
{
    char name[16], path[256];
    long long a, b, c, d;
    if (sscanf(line, "ram %lli %lli", &a, &b) == 2)
        return add_ram(a, b);
    if (sscanf(line, "load %lli %lli %lli %255s", &a, &b, &c, path) == 4)
        return load(a, b, c, path);
    if (sscanf(line, "vcpus %lli", &a) == 1)
        return (vcpus = a) >= 1 && vcpus <= MAX_VCPUS;
    if (sscanf(line, "reg %15s %lli", name, &a) == 2)
        return set_register(name, a);
    if (sscanf(line, "seg %15s %lli %lli %lli %lli", name, &a, &b, &c, &d) == 5)
        return set_segment(name, a, b, c, d);
    return xen_understood(line);
}

static void read_description(void)
{
    char line[512];
    while (fgets(line, sizeof(line), stdin))
        if (!understood(line)) {
            errno = 0;
            printf("line %s", line);
            stop(2, "not understood");
        }
}

/* ---- the machine ---------------------------------------------------------------------------- */

static void set_cpuid(int vcpu, u32 id)
{
    static struct { struct kvm_cpuid2 head; struct kvm_cpuid_entry2 entries[MAX_LEAVES]; } table;
    table.head.nent = MAX_LEAVES;
    need(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &table), "KVM_GET_SUPPORTED_CPUID");
    for (u32 i = 0; i < table.head.nent; i++)
        if (table.entries[i].function == 1)
            table.entries[i].ebx = (table.entries[i].ebx & 0xffffff) | id << 24;
    table.head.nent = xen_leaves(table.entries, table.head.nent, MAX_LEAVES);
    need(ioctl(vcpu, KVM_SET_CPUID2, &table), "KVM_SET_CPUID2");
}

static void build(void)
{
    kvm = need(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        stop(3, "another version of KVM's interface");
    vm = need(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000ul); /* only some processors of Intel's want it */
    need(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
    for (u32 i = 0; i < rams; i++) {
        struct kvm_userspace_memory_region region = {
            .slot = i, .guest_phys_addr = ram[i].gpa, .memory_size = ram[i].size,
            .userspace_addr = (u64)ram[i].at,
        };
        need(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region), "KVM_SET_USER_MEMORY_REGION");
    }
    run_size = need(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), "KVM_GET_VCPU_MMAP_SIZE");
    for (u32 i = 0; i < vcpus; i++) {
        vcpu_fds[i] = need(ioctl(vm, KVM_CREATE_VCPU, i), "KVM_CREATE_VCPU");
        set_cpuid(vcpu_fds[i], i);
    }
    xen_build(kvm, vm, vcpu_fds);
    struct kvm_sregs reset;
    need(ioctl(vcpu_fds[0], KVM_GET_SREGS, &reset), "KVM_GET_SREGS");
    sregs.apic_base = reset.apic_base;
    need(ioctl(vcpu_fds[0], KVM_SET_SREGS, &sregs), "KVM_SET_SREGS");
    need(ioctl(vcpu_fds[0], KVM_SET_REGS, &regs), "KVM_SET_REGS");
    need(ioctl(vcpu_fds[0], KVM_SET_DEBUGREGS, &debug), "KVM_SET_DEBUGREGS");
}

static void write_out(const u8 *data, size_t length)
{
    written += length;
    if (alone) {
        put_alone(data, length);
        return;
    }
    while (length) {
        ssize_t done = write(out, data, length);
        if (done <= 0)
            stop(3, "guest.out");
        data += done, length -= done;
    }
}

static void do_io(struct kvm_run *run)
{
    u8 *data = (u8 *)run + run->io.data_offset;
    size_t length = (size_t)run->io.size * run->io.count;
    if (run->io.direction == KVM_EXIT_IO_IN)
        memset(data, 0xff, length);
    else if (run->io.port == PORT_DEBUG)
        write_out(data, length);
    else if (run->io.port == PORT_EXIT)
        stop(0, "exit");
    else if (run->io.port == 0x64 && *data == 0xfe)
        stop(0, "reset");
}

static void *drive(void *argument)
{
    int vcpu = vcpu_fds[(size_t)argument];
    struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    if (run == MAP_FAILED)
        stop(3, "the vCPU's page");
    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) < 0) {
            if (errno == EINTR || errno == EAGAIN)
                continue; /* a vCPU that has been woken comes back once without having run */
            stop(3, "KVM_RUN");
        }
        errno = 0;
        switch (run->exit_reason) {
        case KVM_EXIT_IO: do_io(run); break;
        case KVM_EXIT_MMIO:
            if (!run->mmio.is_write)
                memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
            break;
        case KVM_EXIT_INTR: break;
        case KVM_EXIT_XEN: xen_exit(run, (u32)(size_t)argument, written); break;
        case KVM_EXIT_SHUTDOWN: stop(0, "triple fault");
        case KVM_EXIT_HLT: stop(0, "halt");
        case KVM_EXIT_FAIL_ENTRY:
            printf("line the processor refused this state: %#llx\n",
                   (long long)run->fail_entry.hardware_entry_failure_reason);
            stop(3, "entry refused");
        case KVM_EXIT_INTERNAL_ERROR:
            printf("line KVM gave up: suberror %u\n", run->internal.suberror);
            stop(3, "internal error of KVM");
        default:
            printf("line exit reason %u\n", run->exit_reason);
            stop(3, "an exit we do not know");
        }
    }
}

int main(int count, char **words)
{
    if (getpid() == 1) {
        begin_alone();
        need(freopen("machine", "r", stdin) ? 0 : -1, "machine");
    } else {
        if (count != 4 || !freopen(words[2], "r", stdin) || !freopen(words[3], "w", stdout))
            return 2;
        alarm((unsigned)atoi(words[1])); /* whatever happens, it ends */
        out = need(open("guest.out", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), "guest.out");
    }
    read_description();
    build();
    show_state();
    for (size_t i = 1; i < vcpus; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, drive, (void *)i))
            stop(3, "a thread");
    }
    drive(NULL);
    return 0;
}
