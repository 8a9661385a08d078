/* The words the hypervisor shares with the guest, in both layouts. */
#include "probe.h"

/* Where a vCPU's own fields and the bit arrays lie in shared_info. */
#define VCPU_SIZE 64
#define VCPUS 32
#define ARRAYS (VCPU_SIZE * VCPUS)

static u8 *shared;
static u32 layout = WIDTH;
static u8 *moved[VCPUS]; /* vcpu_info registered elsewhere */

void shared_use(word address, u32 width)
{
    shared = (u8 *)address;
    if (width)
        layout = width;
}

void shared_use_vcpu(u32 vcpu, word address)
{
    if (vcpu < VCPUS)
        moved[vcpu] = (u8 *)address;
}

static u8 *vcpu_info(u32 vcpu)
{
    if (vcpu >= VCPUS)
        return NULL;
    if (moved[vcpu])
        return moved[vcpu];
    return shared ? shared + VCPU_SIZE * vcpu : NULL;
}

/* Words of pending (array 0) or mask (array 1). There are as many as a word has bits. */
static u8 *words(u32 array, u32 width)
{
    return shared + ARRAYS + array * width * (width / 8);
}

static u64 word_at(const u8 *at, u32 width)
{
    return width == 64 ? *(const volatile u64 *)at : *(const volatile u32 *)at;
}

struct PACKED shared_word {
    u8 what, pad;
    u16 index;
    u32 zero;
    u64 value;
};
enum { PENDING, MASK, SELECTOR, UPCALL_PENDING, UPCALL_MASK, FIFO_WORD, FIFO_READY, FIFO_HEAD,
       FIFO_PORTS };

/* FIFO: event words, 1024 to a page, and a control block for each vCPU. */
#define PAGES 4
#define PRIORITIES 16
struct control_block {
    u32 ready, reserved, head[PRIORITIES];
};
static volatile u32 *event_words[PAGES];
static volatile struct control_block *blocks[VCPUS];

void shared_use_fifo(u32 block, u32 number, word address)
{
    if (block && number < VCPUS)
        blocks[number] = (void *)address;
    if (!block && number < PAGES)
        event_words[number] = (void *)address;
}

/* FIFO_HEAD counts 16 to a vCPU. */
static volatile u32 *fifo_word(u32 what, u32 index)
{
    u32 vcpu = what == FIFO_HEAD ? index / PRIORITIES : index;
    if (what == FIFO_WORD)
        return index < 1024 * PAGES && event_words[index / 1024]
                   ? event_words[index / 1024] + index % 1024 : NULL;
    if (vcpu >= VCPUS || !blocks[vcpu])
        return NULL;
    return what == FIFO_READY ? &blocks[vcpu]->ready : &blocks[vcpu]->head[index % PRIORITIES];
}

void shared_snapshot(u32 vcpus, u32 width)
{
    static struct shared_word list[2 * 64 + 3 * VCPUS];
    u32 count = 0;
    if (!shared)
        return out_remark(REMARK_NO_SHARED);
    if (!width)
        width = layout;
    for (u32 array = 0; array < 2; array++)
        for (u32 i = 0; i < width; i++) {
            u64 value = word_at(words(array, width) + i * (width / 8), width);
            if (value)
                list[count++] = (struct shared_word){array, 0, i, 0, value};
        }
    for (u32 i = 0; i < vcpus && i < VCPUS; i++) {
        const u8 *info = vcpu_info(i);
        list[count++] = (struct shared_word){UPCALL_PENDING, 0, i, 0, info[0]};
        list[count++] = (struct shared_word){UPCALL_MASK, 0, i, 0, info[1]};
        list[count++] = (struct shared_word){SELECTOR, 0, i, 0, word_at(info + width / 8, width)};
    }
    out_record(REC_SHARED, width, list, count * sizeof(list[0]));
}

void shared_fifo(u32 vcpus)
{
    static struct shared_word list[1024 * PAGES + VCPUS * (1 + PRIORITIES) + 1];
    u32 count = 0, ports = 0;
    for (; ports < 1024 * PAGES && fifo_word(FIFO_WORD, ports); ports++) {
        u32 value = *fifo_word(FIFO_WORD, ports);
        if (value)
            list[count++] = (struct shared_word){FIFO_WORD, 0, ports, 0, value};
    }
    for (u32 i = 0; i < vcpus && i < VCPUS; i++) {
        if (!blocks[i])
            continue;
        list[count++] = (struct shared_word){FIFO_READY, 0, i, 0, blocks[i]->ready};
        for (u32 j = 0; j < PRIORITIES; j++)
            if (blocks[i]->head[j])
                list[count++] = (struct shared_word){
                    FIFO_HEAD, 0, PRIORITIES * i + j, 0, blocks[i]->head[j]};
    }
    list[count++] = (struct shared_word){FIFO_PORTS, 0, 0, 0, ports};
    out_record(REC_FIFO, 0, list, count * sizeof(list[0]));
}

enum { OR, AND, SET };

static u64 change(void *at, u32 width, u32 op, u64 value)
{
#if !__x86_64__
    if (width == 64) {
        change((u8 *)at + 4, 32, op, value >> 32);
        change(at, 32, op, (u32)value);
        return word_at(at, 64);
    }
#else
    if (width == 64) {
        if (op == OR)
            __asm__ volatile("lock orq %1, %0" : "+m"(*(u64 *)at) : "r"(value));
        else if (op == AND)
            __asm__ volatile("lock andq %1, %0" : "+m"(*(u64 *)at) : "r"(value));
        else
            __asm__ volatile("xchgq %1, %0" : "+m"(*(u64 *)at), "+r"(value));
        return word_at(at, 64);
    }
#endif
    u32 small = value;
    if (op == OR)
        __asm__ volatile("lock orl %1, %0" : "+m"(*(u32 *)at) : "r"(small));
    else if (op == AND)
        __asm__ volatile("lock andl %1, %0" : "+m"(*(u32 *)at) : "r"(small));
    else
        __asm__ volatile("xchgl %1, %0" : "+m"(*(u32 *)at), "+r"(small));
    return word_at(at, 32);
}

static u8 change_byte(u8 *at, u32 op, u8 value)
{
    if (op == OR)
        __asm__ volatile("lock orb %1, %0" : "+m"(*at) : "q"(value));
    else if (op == AND)
        __asm__ volatile("lock andb %1, %0" : "+m"(*at) : "q"(value));
    else
        __asm__ volatile("xchgb %1, %0" : "+m"(*at), "+q"(value));
    return *(volatile u8 *)at;
}

void shared_store(u32 what, u32 index, u32 op, u64 value)
{
    struct shared_word done = {what, 0, index, 0, 0};
    if (what >= FIFO_WORD ? !fifo_word(what, index)
        : what <= MASK    ? !shared || index >= layout
                          : !vcpu_info(index))
        return out_remark(REMARK_NO_SHARED);
    if (what >= FIFO_WORD)
        done.value = change((void *)fifo_word(what, index), 32, op, value);
    else if (what <= MASK)
        done.value = change(words(what, layout) + index * (layout / 8), layout, op, value);
    else if (what == SELECTOR)
        done.value = change(vcpu_info(index) + layout / 8, layout, op, value);
    else
        done.value = change_byte(vcpu_info(index), op, value);
    out_record(REC_STORE, layout, &done, sizeof(done));
}

/* What the ABI wants of a handler first: upcall_pending off, before the pending words are read. */
void shared_upcall_taken(void)
{
    if (vcpu_info(0))
        shared_store(UPCALL_PENDING, 0, SET, 0);
}
