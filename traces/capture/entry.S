/* Where the hypervisor starts the probe: 32 bits, paging off, no stack.
 *
 * Everything the processor holds is written down before anything is changed. Only absolute stores
 * through DS are used until ESP is recorded; MOV does not touch the flags, so EFLAGS are as they
 * were when the first PUSHF runs on our own stack.
 */
#include "layout.h"

/* From flat 32-bit code with paging off to 64-bit code on the page tables of `page_root`. */
        .macro long_mode
        mov $page_root, %eax
        mov %eax, %cr3
        mov %cr4, %eax
        or $0x20, %eax                  /* PAE */
        mov %eax, %cr4
        mov $0xc0000080, %ecx
        rdmsr
        or $0x100, %eax                 /* LME */
        wrmsr
        mov %cr0, %eax
        or $0x80010001, %eax            /* PG, WP, PE */
        mov %eax, %cr0
        ljmp $SEL_CODE64, $1f
        .code64
1:
        .endm

/* All data segments flat. */
        .macro flat_data
        mov $SEL_DATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov %eax, %fs
        mov %eax, %gs
        .endm

/* Aligned to 4 in both widths: loaders find the value by the segment's alignment. QEMU reads 8
 * bytes of it always; probe.ld puts zeros behind. */
        .section .note.xen, "a", @note
        .balign 4
        .long 4                         /* length of the name */
        .long 2f - 1f                   /* length of the value */
        .long 18                        /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz "Xen"
1:
#ifdef __x86_64__
        .quad entry
#else
        .long entry
#endif
2:

        .section .text.entry, "ax"
        .code32
        .globl entry
entry:
        mov %eax, entry_state + 4 * E_EAX
        mov %ebx, entry_state + 4 * E_EBX
        mov %ecx, entry_state + 4 * E_ECX
        mov %edx, entry_state + 4 * E_EDX
        mov %esi, entry_state + 4 * E_ESI
        mov %edi, entry_state + 4 * E_EDI
        mov %ebp, entry_state + 4 * E_EBP
        mov %esp, entry_state + 4 * E_ESP
        mov %ss, %eax
        mov %eax, entry_state + 4 * E_SS
        mov $stack_end, %esp
        pushf
        pop entry_state + 4 * E_EFLAGS
        mov %cs, %eax
        mov %eax, entry_state + 4 * E_CS
        mov %ds, %eax
        mov %eax, entry_state + 4 * E_DS
        mov %es, %eax
        mov %eax, entry_state + 4 * E_ES
        mov %fs, %eax
        mov %eax, entry_state + 4 * E_FS
        mov %gs, %eax
        mov %eax, entry_state + 4 * E_GS
        mov %cr0, %eax
        mov %eax, entry_state + 4 * E_CR0
        mov %cr2, %eax
        mov %eax, entry_state + 4 * E_CR2
        mov %cr3, %eax
        mov %eax, entry_state + 4 * E_CR3
        mov %cr4, %eax
        mov %eax, entry_state + 4 * E_CR4
        mov %dr6, %eax
        mov %eax, entry_state + 4 * E_DR6
        mov %dr7, %eax
        mov %eax, entry_state + 4 * E_DR7
        sldt %eax
        movzwl %ax, %eax
        mov %eax, entry_state + 4 * E_LDTR
        str %eax
        movzwl %ax, %eax
        mov %eax, entry_state + 4 * E_TR
        sgdt table_register
        movzwl table_register, %eax
        mov %eax, entry_state + 4 * E_GDT_LIMIT
        mov table_register + 2, %eax
        mov %eax, entry_state + 4 * E_GDT_BASE
        sidt table_register
        movzwl table_register, %eax
        mov %eax, entry_state + 4 * E_IDT_LIMIT
        mov table_register + 2, %eax
        mov %eax, entry_state + 4 * E_IDT_BASE
        movl $entry, entry_state + 4 * E_EIP
        mov $0xc0000080, %ecx           /* EFER */
        rdmsr
        mov %eax, entry_state + 4 * E_EFER_LO
        mov %edx, entry_state + 4 * E_EFER_HI

        /* All is recorded; from here on the machine is ours. */
        cld
        lgdt gdt_register
        flat_data
        ljmp $SEL_CODE32, $1f
1:
#ifdef __x86_64__
        /* Identity map of the first 4 GiB with 2 MiB pages, usable from user mode too. */
        mov $page_directory, %edi
        mov $0x87, %eax
        xor %edx, %edx
2:      mov %eax, (%edi)
        mov %edx, 4(%edi)
        add $8, %edi
        add $0x200000, %eax
        jnc 2b
        movl $page_directory + 0x0007, page_pointers + 0
        movl $page_directory + 0x1007, page_pointers + 8
        movl $page_directory + 0x2007, page_pointers + 16
        movl $page_directory + 0x3007, page_pointers + 24
        movl $page_pointers + 7, page_root
        long_mode
        mov $stack_end, %esp
        call probe_main
#else
        mov $stack_end, %esp
        call probe_main
#endif
4:      hlt
        jmp 4b

/* Where another vCPU begins, flat and 32 bits wide: VCPUOP_initialise puts it here, and so does the
 * trampoline below. */
        .text
        .code32
        .globl ap_entry, ap_trampoline, ap_trampoline_end
ap_entry:
        lgdt gdt_register
ap_with_gdt:
        cli
        cld
        flat_data
        ljmp $SEL_CODE32, $1f
1:      lock btsl $0, ap_taken          /* there is one stack: all but the first sleep for ever */
        jnc 1f
0:      cli
        hlt
        jmp 0b
1:      mov $ap_stack_end, %esp
#ifdef __x86_64__
        long_mode
        mov $ap_stack_end, %esp
#endif
        call ap_main

/* Copied to TRAMPOLINE. */
        .code16
ap_trampoline:
        cli
        mov %cs, %ax
        mov %ax, %ds
        lgdtl trampoline_gdt - ap_trampoline
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmpl $SEL_CODE32, $ap_with_gdt
trampoline_gdt:
        .word gdt_end - gdt - 1
        .long gdt
ap_trampoline_end:

        .bss
        .balign 16
        .globl entry_state
entry_state:
        .skip 4 * E_WORDS
table_register:
        .skip 16
ap_taken:
        .skip 4
        .balign 16
        .skip 0x8000
        .globl stack_end, ap_stack, ap_stack_end
stack_end:
ap_stack:
        .skip AP_STACK
ap_stack_end:
        .skip 0x4000
        .globl trap_stack_end
trap_stack_end:
        .skip 0x1000
        .globl user_stack_end
user_stack_end:
        .balign 0x1000
        .globl page_root, page_pointers, page_directory, alias_table
page_root:
        .skip 0x1000
page_pointers:
        .skip 0x1000
page_directory:
        .skip 0x4000
alias_table:
        .skip 0x1000

        .data
        .balign 16
        .globl gdt
gdt:    .quad 0
        .quad 0x00cf9b000000ffff        /* SEL_CODE32 */
        .quad 0x00cf93000000ffff        /* SEL_DATA */
        .quad 0x00af9b000000ffff        /* SEL_CODE64 */
        .quad 0x00cffb000000ffff        /* SEL_UCODE32 */
        .quad 0x00cff3000000ffff        /* SEL_UDATA */
        .quad 0x00affb000000ffff        /* SEL_UCODE64 */
        .quad 0, 0                      /* SEL_TSS, filled in C */
gdt_end:
gdt_register:
        .word gdt_end - gdt - 1
        .long gdt
        .long 0
