/* What the parts of the VMM share. */
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

struct kvm_run;
struct kvm_cpuid_entry2;

/* The end: 0 the guest ended, 3 this KVM cannot do what is asked, 2 the lines are wrong. */
_Noreturn void stop(int status, const char *what);
int need(int result, const char *what);

/* xen.c: the Xen ABI that KVM has, where the lines ask for it. */
int xen_understood(const char *line);
u32 xen_leaves(struct kvm_cpuid_entry2 *entries, u32 count, u32 most);
void xen_build(int kvm, int vm, const int *vcpus);
void xen_exit(struct kvm_run *run, u32 vcpu, u64 written);

/* machine.c: this program as the only one of a machine, which it then begins and ends. */
extern int alone;
void begin_alone(void);
void put_alone(const void *data, size_t length);
_Noreturn void end_alone(int status);
