/* Numbers shared by the probe's assembler and C. The ones that the Python side needs too are
 * marked =PY and repeated in checker/pvhspec/targets/wire.py; tests hold the two together. */
#define SEL_CODE32 0x08
#define SEL_DATA   0x10
#define SEL_CODE64 0x18
#define SEL_UCODE32 0x23
#define SEL_UDATA  0x2b
#define SEL_UCODE64 0x33
#define SEL_TSS    0x38

#define AP_STACK 0x4000
#define TRAMPOLINE 0x8000 /* where a vCPU that is woken by SIPI begins, in real mode */

#define VEC_NMI 2

#define VEC_USER_EXIT 0x81 /* int $0x81 from user mode: the user-mode call is over */

#define VEC_WAKE 0x82 /* from one vCPU to the other: there is something to do */

/* Words of entry_state[], 32 bits each, as the entry stub fills them. =PY */
#define E_EAX 0
#define E_EBX 1
#define E_ECX 2
#define E_EDX 3
#define E_ESI 4
#define E_EDI 5
#define E_EBP 6
#define E_ESP 7
#define E_EFLAGS 8
#define E_CR0 9
#define E_CR2 10
#define E_CR3 11
#define E_CR4 12
#define E_EFER_LO 13
#define E_EFER_HI 14
#define E_DR6 15
#define E_DR7 16
#define E_CS 17
#define E_DS 18
#define E_ES 19
#define E_SS 20
#define E_FS 21
#define E_GS 22
#define E_LDTR 23
#define E_TR 24
#define E_GDT_LIMIT 25
#define E_GDT_BASE 26
#define E_IDT_LIMIT 27
#define E_IDT_BASE 28
#define E_EIP 29
#define E_WORDS 30

/* struct hregs, in units of the word size of the probe. */
#define H_NR 0
#define H_ARG 1
#define H_TARGET 7
#define H_RET 8
#define H_AFTER 9
#define H_WORDS 15
