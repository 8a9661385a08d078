/* The VMM as the only program of a machine: /init of an initramfs, in a virtual machine that has
 * nested virtualisation. There is no disk and no network. What it writes goes out by two ports of
 * QEMU's, and the machine ends when it does. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include "vmm.h"

#define PORT_GUEST 0x404 /* isa-debugcon: what the guest writes. 0x402 is the firmware's, too */
#define PORT_STATE 0x403 /* isa-debugcon: what we tell of it */
#define PORT_EXIT 0xf4   /* isa-debug-exit */

int alone;

static ssize_t tell(void *unused, const char *data, size_t length)
{
    (void)unused;
    outsb(PORT_STATE, data, length);
    return (ssize_t)length;
}

static void load_modules(void)
{
    static const char *const modules[] = {"/irqbypass.ko", "/kvm.ko", "/kvm-amd.ko"};
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        int file = need(open(modules[i], O_RDONLY | O_CLOEXEC), modules[i]);
        if (syscall(SYS_finit_module, file, "", 0) && errno != EEXIST)
            stop(3, modules[i]);
        close(file);
    }
}

void begin_alone(void)
{
    struct utsname name;
    if (iopl(3))
        _exit(3);
    alone = 1;
    stdout = fopencookie(NULL, "w", (cookie_io_functions_t){.write = tell});
    mkdir("/dev", 0755);
    need(mount("dev", "/dev", "devtmpfs", 0, ""), "devtmpfs");
    load_modules();
    uname(&name);
    printf("linux %s\n", name.release);
}

void put_alone(const void *data, size_t length)
{
    outsb(PORT_GUEST, data, length);
}

_Noreturn void end_alone(int status)
{
    for (;;)
        outb((unsigned char)status, PORT_EXIT);
}
