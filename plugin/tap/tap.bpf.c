// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//go:build ignore

/* The kernel's side of the request tap. A connection is known by the socket it
 * reached: its path's inode or its port. What a server reads from such a
 * connection is the request, whatever way the client sent it; who the client
 * is was noted when it connected.
 *
 * Nothing here is newer than Linux 5.8. These are the programs that the kernel
 * runs; what they are made of is in the headers. */

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "client.bpf.h"
#include "dispatch.bpf.h"
#include "mark.bpf.h"
#include "socket.bpf.h"
#include "state.bpf.h"

/* The kernel lets only programs under a licence in its own list use these
 * helpers. Apache-2.0 is not in it: the program says the other of the two. */
char LICENSE[] SEC("license") = "GPL";

#define SCANNED 128 /* descriptors looked at after an exec */

SEC("tp_btf/sys_exit")
int tap_sys_exit(__u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	__u64 nr = SYSCALL_NR(regs), thread, *entry;
	__u32 op;

	if (nr >= SYSCALLS)
		return 0;
	op = ops[nr];
	if (!op)
		return 0;
	if (!(op & OP_OF_ANYONE)) {
		thread = thread_of(regs);
		entry = unmarked_slot(thread);
		if (entry && *entry == thread + generation)
			return 0;
	}
	return on_exit(ctx, op);
}

SEC("tp_btf/sched_process_fork")
int tap_fork(__u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];

	if (mark_of(parent->tgid) != MARK_WATCHED)
		return 0;
	watch(child->tgid);
	next_generation();
	return 0;
}

/* Takes the mark from a program that inherited no watched socket. Without this,
 * everything that dockerd starts would keep dockerd's mark. */
SEC("tp_btf/sched_process_exec")
int tap_exec(__u64 *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct fdtable *fdt;
	unsigned long *open, word;
	__u32 i;

	if (mark_of(tgid) != MARK_WATCHED)
		return 0;
	fdt = BPF_CORE_READ(task, files, fdt);
	open = BPF_CORE_READ(fdt, open_fds);
	for (i = 0; i < SCANNED; i++) {
		if (i >= BPF_CORE_READ(fdt, max_fds))
			break;
		if (role_of(sock_of(i)) != ROLE_NONE)
			return 0;
	}
	/* Descriptors too many to look at: better looked at in vain than not. */
	for (i = SCANNED; i < 4096; i += 64) {
		if (i >= BPF_CORE_READ(fdt, max_fds))
			break;
		if (bpf_probe_read_kernel(&word, sizeof(word), open + i / 64) || word)
			return 0;
	}
	marks[tgid & (PIDS - 1)] = MARK_NONE;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int tap_exit(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u32 tgid = task->tgid;
	struct header h;
	enum mark mark = mark_of(tgid);

	if (mark == MARK_NONE || BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	marks[tgid & (PIDS - 1)] = MARK_NONE;
	if (mark != MARK_WATCHED)
		return 0;
	fill_header(&h, KIND_EXIT, 0, NULL);
	emit(&h, sizeof(h));
	return 0;
}

/* Read once for every change of the watched sockets: marks the processes that
 * hold one already, and the reader as the plugin itself, by its pid in the
 * kernel's own namespace. */
SEC("iter/task_file")
int tap_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	marks[(bpf_get_current_pid_tgid() >> 32) & (PIDS - 1)] = MARK_OWN;
	if (!task || !file || role_of(sock_of_file(file)) == ROLE_NONE)
		return 0;
	watch(task->tgid);
	return 0;
}
