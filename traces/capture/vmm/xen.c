/* KVM's own part of Xen's ABI, for a guest that is to have it.
 *
 *   xen VERSION MSR                 the release, and the MSR that fills the hypercall page
 *   leaf LEAF SUBLEAF A B C D       an answer of CPUID; KVM's own signature then goes
 *   wide 0|1                        the layout of shared_info
 *   shared_info GFN                 where it is
 *   upcall VECTOR                   of all vCPUs' events
 *   ipi PORT VCPU                   a port by which the guest tells one of its vCPUs
 *   vcpu_info VCPU GPA              and the same for time_info, runstate
 *   timer VCPU PORT                 of VIRQ_TIMER
 *
 * A call that KVM does not answer itself is refused with -ENOSYS, and told in STATE: how much the
 * guest had written to port 0x402 by then, by which vCPU, and its number. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include "vmm.h"

#define MAX_GIVEN 32
#define TWO_LEVEL 0xffffffff /* the only priority that KVM has: none */
#define STATUS_IPI 5

static struct kvm_xen_hvm_config config = {
    .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL | KVM_XEN_HVM_CONFIG_EVTCHN_SEND,
};
static struct kvm_xen_hvm_attr of_vm[MAX_GIVEN];
static struct { u32 vcpu; struct kvm_xen_vcpu_attr attr; } of_vcpus[MAX_GIVEN];
static struct kvm_cpuid_entry2 given[MAX_GIVEN];
static u32 vm_attrs, vcpu_attrs, leaves;

static int add_vm(struct kvm_xen_hvm_attr attr)
{
    return vm_attrs < MAX_GIVEN && (of_vm[vm_attrs++] = attr, 1);
}

static int add_vcpu(u32 vcpu, struct kvm_xen_vcpu_attr attr)
{
    if (vcpu_attrs == MAX_GIVEN)
        return 0;
    of_vcpus[vcpu_attrs].vcpu = vcpu;
    of_vcpus[vcpu_attrs++].attr = attr;
    return 1;
}

int xen_understood(const char *line)
{
    static const struct { const char *name; u16 type; } areas[] = {
        {"vcpu_info", KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO},
        {"time_info", KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO},
        {"runstate", KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR},
    };
    char name[16];
    long long a, b, c, d, e, f;
    if (sscanf(line, "xen %lli %lli", &a, &b) == 2) {
        config.msr = b;
        return add_vm((struct kvm_xen_hvm_attr){
            .type = KVM_XEN_ATTR_TYPE_XEN_VERSION, .u.xen_version = a});
    }
    if (sscanf(line, "leaf %lli %lli %lli %lli %lli %lli", &a, &b, &c, &d, &e, &f) == 6) {
        if (leaves == MAX_GIVEN)
            return 0;
        given[leaves++] = (struct kvm_cpuid_entry2){
            .function = a, .index = b, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
            .eax = c, .ebx = d, .ecx = e, .edx = f,
        };
        return 1;
    }
    if (sscanf(line, "wide %lli", &a) == 1)
        return add_vm((struct kvm_xen_hvm_attr){
            .type = KVM_XEN_ATTR_TYPE_LONG_MODE, .u.long_mode = a});
    if (sscanf(line, "shared_info %lli", &a) == 1)
        return add_vm((struct kvm_xen_hvm_attr){
            .type = KVM_XEN_ATTR_TYPE_SHARED_INFO, .u.shared_info.gfn = a});
    if (sscanf(line, "upcall %lli", &a) == 1)
        return add_vm((struct kvm_xen_hvm_attr){
            .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = a});
    if (sscanf(line, "ipi %lli %lli", &a, &b) == 2)
        return add_vm((struct kvm_xen_hvm_attr){
            .type = KVM_XEN_ATTR_TYPE_EVTCHN, .u.evtchn = {
                .send_port = a, .type = STATUS_IPI,
                .deliver.port = {.port = a, .vcpu = b, .priority = TWO_LEVEL}}});
    if (sscanf(line, "timer %lli %lli", &a, &b) == 2)
        return add_vcpu(a, (struct kvm_xen_vcpu_attr){
            .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
            .u.timer = {.port = b, .priority = TWO_LEVEL}});
    if (sscanf(line, "%15s %lli %lli", name, &a, &b) == 3)
        for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++)
            if (!strcmp(name, areas[i].name))
                return add_vcpu(a, (struct kvm_xen_vcpu_attr){.type = areas[i].type, .u.gpa = b});
    return 0;
}

/* Puts the leaves that were given in place of KVM's own; how many there are then. */
u32 xen_leaves(struct kvm_cpuid_entry2 *entries, u32 count, u32 most)
{
    u32 kept = 0;
    for (u32 i = 0; i < count; i++)
        if (!leaves || entries[i].function >> 16 != 0x4000)
            entries[kept++] = entries[i];
    if (kept + leaves > most)
        stop(2, "too many leaves");
    memcpy(entries + kept, given, leaves * sizeof(given[0]));
    return kept + leaves;
}

void xen_build(int kvm, int vm, const int *vcpus)
{
    if (!config.msr)
        return;
    int can = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_XEN_HVM), want = config.flags;
    if (can <= 0 || (can & want) != want) {
        errno = 0;
        printf("line KVM_CAP_XEN_HVM is %#x\n", can);
        stop(3, "this KVM has not the Xen ABI");
    }
    need(ioctl(vm, KVM_XEN_HVM_CONFIG, &config), "KVM_XEN_HVM_CONFIG");
    for (u32 i = 0; i < vm_attrs; i++)
        need(ioctl(vm, KVM_XEN_HVM_SET_ATTR, &of_vm[i]), "KVM_XEN_HVM_SET_ATTR");
    for (u32 i = 0; i < vcpu_attrs; i++)
        need(ioctl(vcpus[of_vcpus[i].vcpu], KVM_XEN_VCPU_SET_ATTR, &of_vcpus[i].attr),
             "KVM_XEN_VCPU_SET_ATTR");
}

void xen_exit(struct kvm_run *run, u32 vcpu, u64 written)
{
    printf("refused %llu %u %llu\n", (long long)written, vcpu, run->xen.u.hcall.input);
    fflush(stdout);
    run->xen.u.hcall.result = -(u64)ENOSYS;
}
