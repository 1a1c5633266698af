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

/* From MARK_SHARER on system calls are looked at. A client that made its
 * connection itself is known by that: it costs as much as any other process,
 * until another one sends on the same connection. */
enum __attribute__((packed)) mark {
	MARK_NONE,
	MARK_OWN,    /* the plugin itself: never looked at */
	MARK_CLIENT, /* connected to a watched socket */
	MARK_SHARER, /* can send on a connection that another process made, or sends too */
	MARK_ENGINE, /* serves a watched unix socket */
};

/* Every process' mark by its pid, whole, so that no process can take the place
 * of another. It alone is .bss: a map's value can be 4 MiB at most before Linux
 * 5.16. */
enum mark marks[PIDS];

/* Threads whose process is not looked at: nearly everything on the machine. The end
 * of one of their system calls is over after a look-up in an array, which
 * BenchmarkTapOthers measures: it alone justifies what follows.
 *
 * A thread is known by where its registers are saved, at the top of its kernel
 * stack, which chooses the slot. What stands there is the sum of that address
 * and the generation, which changes with every process that is looked at from
 * then on and with every new thread of one, because that can get the stack of
 * another's.
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

/* How often a process began or ended to be an engine. User space looks for the
 * ports of engines again when it changed. */
__u32 engine_changes SEC(".data") = 1;

/* The value of engine_changes for which all ports that engines serve are known. */
__u32 ports_checked SEC(".data");

/* Whether the iterator saw an engine: in a pid namespace of its own it sees
 * nothing of the host. */
__u32 engines_seen SEC(".data");

/* There is no unix socket to know an engine by. */
__u32 only_ports SEC(".data");

static __always_inline enum mark mark_of(__u32 tgid)
{
	return marks[tgid & (PIDS - 1)];
}

static __always_inline void next_generation(void)
{
	__sync_fetch_and_add(&generation, GENERATION_STEP);
}

static __always_inline void set_mark(__u32 tgid, enum mark mark)
{
	marks[tgid & (PIDS - 1)] = mark;
}

/* Gives a process a mark if it has none or a lesser one. */
static __always_inline bool watch(__u32 tgid, enum mark mark)
{
	enum mark old = mark_of(tgid);

	if (old >= mark || old == MARK_OWN)
		return false;
	set_mark(tgid, mark);
	if (mark >= MARK_SHARER)
		next_generation();
	return true;
}

static __always_inline void watch_engine(__u32 tgid)
{
	if (watch(tgid, MARK_ENGINE))
		__sync_fetch_and_add(&engine_changes, 1);
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
