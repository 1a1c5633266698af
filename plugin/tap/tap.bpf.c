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
#include "code.bpf.h"
#include "dispatch.bpf.h"
#include "mark.bpf.h"
#include "socket.bpf.h"
#include "state.bpf.h"

/* The kernel lets only programs under a licence in its own list use these
 * helpers. Apache-2.0 is not in it: the program says the other of the two. */
char LICENSE[] SEC("license") = "GPL";

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
	} else if (concerns_nobody(regs, nr)) {
		return 0;
	}
	return on_exit(ctx, op);
}

SEC("tp_btf/inet_sock_set_state")
int tap_tcp_state(__u64 *ctx)
{
	int from = ctx[1], to = ctx[2];
	struct sock *sk = NULL;
	__u8 *served;

	/* As a number: the verifier would not let its pointer be a key. */
	bpf_probe_read_kernel(&sk, sizeof(sk), ctx);
	if (to == TCP_LISTEN) {
		served = watched_port(local_port(sk));
		if (served && mark_of(bpf_get_current_pid_tgid() >> 32) == MARK_ENGINE)
			*served = 1;
		return 0;
	}
	if (to != TCP_SYN_SENT && !(to == TCP_ESTABLISHED && from == TCP_SYN_SENT))
		return 0;
	if (!may_reach_engine(sk))
		return 0;
	return to == TCP_SYN_SENT ? on_tcp_connect(sk) : on_tcp_established(sk);
}

SEC("tp_btf/sched_process_fork")
int tap_fork(__u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	__u32 from = parent->tgid, to = child->tgid;
	enum mark mark = mark_of(from);

	note_fork(from, to);
	if (mark < MARK_CLIENT)
		return 0;
	if (from != to) {
		/* It can have the connections of its parent. */
		if (mark == MARK_CLIENT)
			mark = MARK_SHARER;
		set_mark(to, mark);
	}
	if (mark >= MARK_SHARER)
		next_generation();
	return 0;
}

/* Takes the mark from a program that inherited no watched socket. Without this,
 * everything that dockerd starts would keep dockerd's mark. */
SEC("tp_btf/sched_process_exec")
int tap_exec(__u64 *ctx)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	enum mark mark = mark_of(tgid);

	note_exec((void *)bpf_get_current_task(), tgid);
	if (mark < MARK_CLIENT)
		return 0;
	if (mark == MARK_CLIENT)
		mark = MARK_SHARER;
	set_mark(tgid, held_mark(mark));
	next_generation();
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
	set_mark(tgid, MARK_NONE);
	if (mark < MARK_CLIENT)
		return 0;
	if (mark == MARK_ENGINE)
		__sync_fetch_and_add(&engine_changes, 1);
	fill_header(&h, KIND_EXIT, 0, NULL);
	emit(&h, sizeof(h), tgid, CLASS_END);
	return 0;
}

/* Read for every change of the watched sockets and of the engines: marks the
 * processes that hold a watched socket already, and the reader as the plugin
 * itself, by its pid in the kernel's own namespace. Finds the ports of engines
 * that are marked. */
SEC("iter/task_file")
int tap_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct sock *sk;
	enum mark mark;
	__u8 *served;

	set_mark(bpf_get_current_pid_tgid() >> 32, MARK_OWN);
	if (!task || !file)
		return 0;
	sk = sock_of_file(file);
	if (!sk)
		return 0;
	mark = mark_of(task->tgid);
	switch (role_of(sk, mark)) {
	case ROLE_CLIENT:
		/* Who made the connection is not known. */
		watch(task->tgid, MARK_SHARER);
		break;
	case ROLE_SERVER:
		if (is_tcp(sk)) {
			served = watched_port(local_port(sk));
			if (served)
				*served = 1;
		} else {
			served = watched_file(BPF_CORE_READ((struct unix_sock *)sk, path.dentry));
			if (served)
				*served = 1;
			if (task->tgid != 1) {
				/* The first process only keeps it for the engine. */
				watch_engine(task->tgid);
				engines_seen = 1;
			}
		}
	}
	return 0;
}
