// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* The end of a system call: whose it was and what it did. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "client.bpf.h"
#include "code.bpf.h"
#include "mark.bpf.h"
#include "server.bpf.h"
#include "socket.bpf.h"
#include "syscall.bpf.h"

/* Whether a mapping is of a file's code. */
static __always_inline bool maps_code(__u64 protection, __u64 flags)
{
	return protection & PROT_EXEC && !(flags & MAP_ANONYMOUS);
}

/* Whether a system call that everyone makes often is over for the tap: a file that
 * is opened to be read, memory that is no code, and what means something in a
 * 32-bit process only. */
static __always_inline bool concerns_nobody(struct pt_regs *regs, __u64 nr)
{
#if defined(__TARGET_ARCH_x86)
	struct task_struct *task = (void *)bpf_get_current_task();

	if (nr == 2)
		return !(ARG1(regs) & O_ACCMODE);
	if (nr == 257)
		return !(ARG2(regs) & O_ACCMODE);
	if (nr == 9)
		return !maps_code(ARG2(regs), ARG3(regs));
	return ops[nr] == (OP_IA32 | OP_OF_ANYONE) && !(BPF_CORE_READ(task, thread_info.status) & TS_COMPAT);
#else
	if (nr == 222)
		return !maps_code(ARG2(regs), ARG3(regs));
	return nr == 56 && !(ARG2(regs) & O_ACCMODE);
#endif
}

#if defined(__TARGET_ARCH_x86)
/* A 32-bit process' connect, and what it can do to another process. The rest of
 * what it does is seen at the server. */
static __always_inline int on_ia32(struct pt_regs *regs, long ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 fd = regs->bx;

	if (!(BPF_CORE_READ(task, thread_info.status) & TS_COMPAT))
		return 0;
	switch (SYSCALL_NR(regs)) {
	case 5:
	case 295:
		return ret >= 0 ? on_open((__u64)file_of(ret)) : 0;
	case 26:
		return on_ptrace(regs->bx, regs->cx, ret);
	case 172:
		return on_prctl(regs->bx, regs->cx, ret);
	case 348:
		return on_vm_write(regs->bx, ret);
	case 192:
		return maps_code(regs->dx, regs->si) ? on_map((__u64)file_of(regs->di)) : 0;
	case 102:
		if (fd != 3 /* SYS_CONNECT */ ||
		    bpf_probe_read_user(&fd, sizeof(fd), (void *)(regs->cx & 0xffffffffUL)))
			return 0;
	}
	return on_connect(fd, ret);
}
#endif

static __always_inline int on_server(struct sock *sk, const struct call *c, bool receives)
{
	struct scratch *s = scratch();

	if (!s)
		return 0;
	s->call = *c;
	return receives ? on_request((__u64)sk) : on_response((__u64)sk);
}

static __always_inline int on_receive(const struct call *c, enum mark mark)
{
	struct sock *sk;

	if (mark != MARK_ENGINE || c->ret <= 0 || c->flags & MSG_PEEK)
		return 0;
	sk = sock_of(c->fd);
	if (role_of(sk, mark) != ROLE_SERVER)
		return 0;
	return on_server(sk, c, true);
}

static __always_inline int on_send(const struct call *c, enum mark mark)
{
	struct sock *sk;

	if (c->ret <= 0)
		return 0;
	sk = sock_of(c->fd);
	switch (role_of(sk, mark)) {
	case ROLE_CLIENT:
		return on_client_send(sk);
	case ROLE_SERVER:
		return on_server(sk, c, false);
	default:
		if (mark == MARK_SHARER && !(bpf_get_prandom_u32() % SENDS_A_LOOK))
			drop_sharer();
	}
	return 0;
}

static __noinline int on_exit(__u64 *ctx, __u32 op)
{
	struct pt_regs *regs = (void *)ctx[0];
	__u64 thread = thread_of(regs);
	/* Read before the mark: an entry for a mark that changes now is too old. */
	__u64 made = *(volatile __u64 *)&generation;
	enum mark mark = *(volatile enum mark *)&marks[bpf_get_current_pid_tgid() >> 32 & (PIDS - 1)];
	struct call c = {};
	__u64 *entry;

	if (mark < MARK_SHARER && !(op & OP_OF_ANYONE)) {
		entry = unmarked_slot(thread);
		if (entry)
			*entry = thread + made;
		return 0;
	}
	if (mark == MARK_OWN || (mark == MARK_SHARER && !(op & (OP_OF_ANYONE | OP_SENDS))))
		return 0;
	c.op = op & ~(OP_OF_ANYONE | OP_SENDS);
	c.fd = ARG0(regs);
	c.arg1 = ARG1(regs);
	c.arg2 = ARG2(regs);
	c.ret = ctx[1];

	switch (c.op) {
	case OP_CONNECT:
		return on_connect(c.fd, c.ret);
	case OP_ACCEPT:
		return on_accept(c.ret);
	case OP_PIDFD_GETFD:
		return mark != MARK_ENGINE && c.ret >= 0 ? on_descriptor(c.ret) : 0;
	case OP_RECVMSG:
		if (mark != MARK_ENGINE)
			return c.ret >= 0 ? on_control(c.arg1) : 0;
		c.flags = c.arg2;
		return on_receive(&c, mark);
	case OP_RECVMMSG:
		return mark != MARK_ENGINE && c.ret > 0 ? on_control(c.arg1) : 0;
	case OP_RECVFROM:
		c.flags = ARG3(regs);
		return on_receive(&c, mark);
	case OP_READ:
	case OP_READV:
		return on_receive(&c, mark);
	case OP_SPLICE:
		/* Either end: what a server takes out is counted, not seen. */
		on_receive(&c, mark);
		c.fd = c.arg2;
		return on_send(&c, mark);
	case OP_WRITE:
	case OP_WRITEV:
	case OP_SENDMSG:
	case OP_SENDMMSG:
	case OP_SENDFILE:
		return on_send(&c, mark);
	case OP_CLOSE:
		return mark == MARK_ENGINE ? on_close(c.fd) : 0;
	case OP_PTRACE:
		return on_ptrace(ARG0(regs), c.arg1, c.ret);
	case OP_VM_WRITE:
		return on_vm_write(c.fd, c.ret);
	case OP_PRCTL:
		return on_prctl(ARG0(regs), c.arg1, c.ret);
	case OP_OPEN:
		return c.ret >= 0 ? on_open((__u64)file_of(c.ret)) : 0;
	case OP_QUEUE:
		return mark == MARK_SHARER ? on_queue() : 0;
	case OP_MAP:
		return on_map((__u64)file_of(ARG4(regs)));
#if defined(__TARGET_ARCH_x86)
	case OP_IA32:
		return on_ia32(regs, c.ret);
#endif
	}
	return 0;
}
