/* What C cannot say: interrupt entry, calls that may fault, hypercalls, user mode. Both widths. */
#include "layout.h"

#ifdef __x86_64__
#define WORD 8
#define AX %rax
#define SP %rsp
        .code64
        .macro save_all
        push %rax; push %rbx; push %rcx; push %rdx; push %rsi; push %rdi; push %rbp
        push %r8; push %r9; push %r10; push %r11; push %r12; push %r13; push %r14; push %r15
        .endm
        .macro restore_all
        pop %r15; pop %r14; pop %r13; pop %r12; pop %r11; pop %r10; pop %r9; pop %r8
        pop %rbp; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rbx; pop %rax
        .endm
#else
#define WORD 4
#define AX %eax
#define SP %esp
        .code32
        .macro save_all
        pushal
        .endm
        .macro restore_all
        popal
        .endm
#endif

        .text

/* One stub a vector, 16 bytes apart: [error code or 0] [vector], then the common part. */
        .balign 16
        .globl vector_stubs
vector_stubs:
        .set vector, 0
        .rept 256
        .balign 16
        .if !((vector == 8) || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        push $0
        .endif
        push $vector
        jmp vector_common
        .set vector, vector + 1
        .endr
        .balign 16
vector_common:
        save_all
        cld
#ifdef __x86_64__
        mov %rsp, %rdi
        mov %rsp, %rbp
        and $-16, %rsp
        call trap
        mov %rbp, %rsp
#else
        push %esp
        call trap
        add $4, %esp
#endif
        restore_all
        add $2 * WORD, SP
#ifdef __x86_64__
        iretq
#else
        iret
#endif

/* int attempt(void (*function)(void *), void *argument): 0, or what trap() handed to
 * attempt_failed() when the function faulted. */
        .globl attempt, attempt_failed
attempt:
#ifdef __x86_64__
        push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
        push landing
        mov %rsp, landing
        mov %rdi, %rax
        mov %rsi, %rdi
        call *%rax
#else
        push %ebp; push %ebx; push %esi; push %edi
        push landing
        mov %esp, landing
        push 28(%esp)
        call *28(%esp)
        add $4, %esp
#endif
        xor %eax, %eax
attempt_over:
#ifdef __x86_64__
        pop landing
        pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
#else
        pop landing
        pop %edi; pop %esi; pop %ebx; pop %ebp
#endif
        ret
attempt_failed:                         /* void attempt_failed(int result), does not return */
#ifdef __x86_64__
        mov %edi, %eax
#else
        mov 4(%esp), %eax
#endif
        mov $SEL_DATA, %ecx
        mov %ecx, %ds
        mov %ecx, %es
        mov %ecx, %ss
        mov landing, SP
        cld
        jmp attempt_over

/* void hypercall(struct hregs *): load nr and arguments, call the target, store what came back. */
        .globl hypercall, user_hypercall, stub_vmcall, stub_vmmcall
hypercall:
#ifdef __x86_64__
        push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15
        call hypercall_core
        pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp
#else
        push %ebp; push %ebx; push %esi; push %edi
        mov 20(%esp), %eax
        call hypercall_core
        pop %edi; pop %esi; pop %ebx; pop %ebp
#endif
        ret

hypercall_core:
#ifdef __x86_64__
        push %rdi
        push 8 * H_TARGET(%rdi)
        mov 8 * H_NR(%rdi), %rax
        mov 8 * (H_ARG + 1)(%rdi), %rsi
        mov 8 * (H_ARG + 2)(%rdi), %rdx
        mov 8 * (H_ARG + 3)(%rdi), %r10
        mov 8 * (H_ARG + 4)(%rdi), %r8
        mov 8 * (H_ARG + 5)(%rdi), %r9
        mov 8 * (H_ARG + 0)(%rdi), %rdi
        call *(%rsp)
        add $8, %rsp
        xchg (%rsp), %rax
        mov %rdi, 8 * (H_AFTER + 0)(%rax)
        mov %rsi, 8 * (H_AFTER + 1)(%rax)
        mov %rdx, 8 * (H_AFTER + 2)(%rax)
        mov %r10, 8 * (H_AFTER + 3)(%rax)
        mov %r8, 8 * (H_AFTER + 4)(%rax)
        mov %r9, 8 * (H_AFTER + 5)(%rax)
        pop 8 * H_RET(%rax)
#else
        push %eax
        push 4 * H_TARGET(%eax)
        mov 4 * (H_ARG + 0)(%eax), %ebx
        mov 4 * (H_ARG + 1)(%eax), %ecx
        mov 4 * (H_ARG + 2)(%eax), %edx
        mov 4 * (H_ARG + 3)(%eax), %esi
        mov 4 * (H_ARG + 4)(%eax), %edi
        mov 4 * (H_ARG + 5)(%eax), %ebp
        mov 4 * H_NR(%eax), %eax
        call *(%esp)
        add $4, %esp
        xchg (%esp), %eax
        mov %ebx, 4 * (H_AFTER + 0)(%eax)
        mov %ecx, 4 * (H_AFTER + 1)(%eax)
        mov %edx, 4 * (H_AFTER + 2)(%eax)
        mov %esi, 4 * (H_AFTER + 3)(%eax)
        mov %edi, 4 * (H_AFTER + 4)(%eax)
        mov %ebp, 4 * (H_AFTER + 5)(%eax)
        pop 4 * H_RET(%eax)
#endif
        ret

/* void user_hypercall(struct hregs *): the same at CPL 3, run under attempt(); it comes back by
 * the fault that VEC_USER_EXIT is. */
user_hypercall:
#ifndef __x86_64__
        mov 4(%esp), %eax
#endif
        mov $SEL_UDATA, %ecx
        mov %ecx, %ds
        mov %ecx, %es
        push $SEL_UDATA
        push $user_stack_end
        push $2
#ifdef __x86_64__
        push $SEL_UCODE64
        push $1f
        iretq
#else
        push $SEL_UCODE32
        push $1f
        iret
#endif
1:      call hypercall_core
        int $VEC_USER_EXIT

stub_vmcall:
        vmcall
        ret
stub_vmmcall:
        vmmcall
        ret

        .bss
        .balign 8
        .globl landing
landing:
        .skip WORD
