// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* Which processes the tap looks at. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_helpers.h>

/* One more than the largest pid a 64-bit Linux can have. */
#define PIDS (1 << 22)
#define UNMARKED_SLOTS (1 << 14)
#define STACK_SHIFT 14                        /* no kernel stack is smaller: x86 has 16 KiB, arm64 as well */
#define GENERATION_STEP 0x9e3779b97f4a7c15ULL /* any large odd number */

enum __attribute__((packed)) mark {
	MARK_NONE,
	MARK_WATCHED, /* holds, or held, a watched socket */
	MARK_OWN,     /* the plugin itself: never looked at */
};

/* Every process' mark by its pid, whole, so that no process can take the place
 * of another. It alone is .bss: a map's value can be 4 MiB at most before Linux
 * 5.16. */
enum mark marks[PIDS];

/* Threads whose process has no mark: nearly everything on the machine. The end
 * of one of their system calls is over after a look-up in an array, which
 * BenchmarkTapOthers measures: it alone justifies what follows.
 *
 * A thread is known by where its registers are saved, at the top of its kernel
 * stack, which chooses the slot. What stands there is the sum of that address
 * and the generation, which changes with every new mark and with every new
 * thread of a marked process, because that can get the stack of an unmarked one.
 * No thread is skipped that must be looked at: an entry of an older generation
 * does not count, and two threads that share a slot are a multiple of 2^28 bytes
 * apart, so that one's sum can be the other's only 2^28 generations later. A
 * thread that lost its slot to another, or whose entry is too old, is looked at
 * in vain: that costs time and nothing else. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, UNMARKED_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} unmarked SEC(".maps");

__u64 generation SEC(".data");

static __always_inline enum mark mark_of(__u32 tgid)
{
	return marks[tgid & (PIDS - 1)];
}

static __always_inline void next_generation(void)
{
	__sync_fetch_and_add(&generation, GENERATION_STEP);
}

static __always_inline void watch(__u32 tgid)
{
	enum mark *mark = &marks[tgid & (PIDS - 1)];

	if (*mark != MARK_NONE)
		return;
	*mark = MARK_WATCHED;
	next_generation();
}

/* The verifier lets pointers become a number by their difference only. */
static __always_inline __u64 thread_of(struct pt_regs *regs)
{
	return (__u64)regs - (__u64)marks;
}

static __always_inline __u64 *unmarked_slot(__u64 thread)
{
	__u32 slot = thread >> STACK_SHIFT & (UNMARKED_SLOTS - 1);

	return bpf_map_lookup_elem(&unmarked, &slot);
}
