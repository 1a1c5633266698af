// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* System calls: which of them the tap looks at, where their arguments are, and
 * where the bytes are that they moved. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define SYSCALLS 512

enum op {
	OP_NONE,
	OP_CONNECT,
	OP_ACCEPT,
	OP_PIDFD_GETFD,
	OP_READ,     /* fd, buffer, size */
	OP_RECVFROM, /* fd, buffer, size, flags */
	OP_READV,    /* fd, vector, count */
	OP_RECVMSG,  /* fd, message, flags */
	OP_RECVMMSG,
	OP_WRITE, /* fd, buffer, size */
	OP_WRITEV,
	OP_SENDMSG,
	OP_SENDMMSG,
	OP_SPLICE,   /* from fd, offset, to fd */
	OP_SENDFILE, /* to fd */
	OP_CLOSE,
	OP_IA32,
	OP_PTRACE,   /* request, pid */
	OP_VM_WRITE, /* pid */
	OP_PRCTL,    /* option, what */
	OP_OPEN,
	OP_MAP, /* address, size, protection, flags, fd */
	OP_QUEUE, /* can have the kernel send on any descriptor */
	OP_SENDS = 0x40,     /* can send what a client has to say */
	OP_OF_ANYONE = 0x80, /* also looked at in processes that are not */
};

static const __u8 ops[SYSCALLS] = {
#if defined(__TARGET_ARCH_x86)
	[42] = OP_CONNECT | OP_OF_ANYONE,
	[43] = OP_ACCEPT | OP_OF_ANYONE,
	[288] = OP_ACCEPT | OP_OF_ANYONE, /* accept4 */
	[438] = OP_PIDFD_GETFD | OP_OF_ANYONE,
	[47] = OP_RECVMSG | OP_OF_ANYONE,
	[299] = OP_RECVMMSG | OP_OF_ANYONE,
	[0] = OP_READ,
	[45] = OP_RECVFROM,
	[19] = OP_READV,
	[327] = OP_READV, /* preadv2 */
	[1] = OP_WRITE | OP_SENDS,
	[44] = OP_WRITE | OP_SENDS, /* sendto */
	[20] = OP_WRITEV | OP_SENDS,
	[328] = OP_WRITEV | OP_SENDS, /* pwritev2 */
	[46] = OP_SENDMSG | OP_SENDS,
	[307] = OP_SENDMMSG | OP_SENDS,
	[275] = OP_SPLICE | OP_SENDS,
	[40] = OP_SENDFILE | OP_SENDS,
	[3] = OP_CLOSE,
	[101] = OP_PTRACE | OP_OF_ANYONE,
	[311] = OP_VM_WRITE | OP_OF_ANYONE,
	[157] = OP_PRCTL | OP_OF_ANYONE,
	[2] = OP_OPEN | OP_OF_ANYONE,
	[257] = OP_OPEN | OP_OF_ANYONE, /* openat */
	[437] = OP_OPEN | OP_OF_ANYONE, /* openat2 */
	[9] = OP_MAP | OP_OF_ANYONE,
	[425] = OP_QUEUE | OP_SENDS, /* io_uring_setup */
	[426] = OP_QUEUE | OP_SENDS, /* io_uring_enter */
	[206] = OP_QUEUE | OP_SENDS, /* io_setup */
	[209] = OP_QUEUE | OP_SENDS, /* io_submit */
	/* A 32-bit process' socketcall and connect, and what it can do to another:
	 * open, ptrace, prctl, openat, process_vm_writev, and mmap2. They are getuid,
	 * fstat, msync, iopl, preadv and lgetxattr in a 64-bit one. */
	[102] = OP_IA32 | OP_OF_ANYONE,
	[362] = OP_IA32 | OP_OF_ANYONE,
	[5] = OP_IA32 | OP_OF_ANYONE,
	[26] = OP_IA32 | OP_OF_ANYONE,
	[172] = OP_IA32 | OP_OF_ANYONE,
	[295] = OP_IA32 | OP_OF_ANYONE,
	[348] = OP_IA32 | OP_OF_ANYONE,
	[192] = OP_IA32 | OP_OF_ANYONE,
#elif defined(__TARGET_ARCH_arm64)
	[203] = OP_CONNECT | OP_OF_ANYONE,
	[202] = OP_ACCEPT | OP_OF_ANYONE,
	[242] = OP_ACCEPT | OP_OF_ANYONE, /* accept4 */
	[438] = OP_PIDFD_GETFD | OP_OF_ANYONE,
	[212] = OP_RECVMSG | OP_OF_ANYONE,
	[243] = OP_RECVMMSG | OP_OF_ANYONE,
	[63] = OP_READ,
	[207] = OP_RECVFROM,
	[65] = OP_READV,
	[286] = OP_READV, /* preadv2 */
	[64] = OP_WRITE | OP_SENDS,
	[206] = OP_WRITE | OP_SENDS, /* sendto */
	[66] = OP_WRITEV | OP_SENDS,
	[287] = OP_WRITEV | OP_SENDS, /* pwritev2 */
	[211] = OP_SENDMSG | OP_SENDS,
	[269] = OP_SENDMMSG | OP_SENDS,
	[76] = OP_SPLICE | OP_SENDS,
	[71] = OP_SENDFILE | OP_SENDS,
	[57] = OP_CLOSE,
	[117] = OP_PTRACE | OP_OF_ANYONE,
	[271] = OP_VM_WRITE | OP_OF_ANYONE,
	[167] = OP_PRCTL | OP_OF_ANYONE,
	[56] = OP_OPEN | OP_OF_ANYONE,  /* openat */
	[437] = OP_OPEN | OP_OF_ANYONE, /* openat2 */
	[222] = OP_MAP | OP_OF_ANYONE,
	[425] = OP_QUEUE | OP_SENDS, /* io_uring_setup */
	[426] = OP_QUEUE | OP_SENDS, /* io_uring_enter */
	[0] = OP_QUEUE | OP_SENDS, /* io_setup */
	[2] = OP_QUEUE | OP_SENDS, /* io_submit */
#endif
};

#if defined(__TARGET_ARCH_x86)
#define SYSCALL_NR(regs) ((regs)->orig_ax & ~0x40000000UL) /* less x32's bit */
#define ARG0(regs) ((regs)->di)
#define ARG1(regs) ((regs)->si)
#define ARG2(regs) ((regs)->dx)
#define ARG3(regs) ((regs)->r10)
#define ARG4(regs) ((regs)->r8)
#define TS_COMPAT 2
#else
#define SYSCALL_NR(regs) ((__u32)(regs)->syscallno)
#define ARG0(regs) ((regs)->orig_x0)
#define ARG1(regs) ((regs)->regs[1])
#define ARG2(regs) ((regs)->regs[2])
#define ARG3(regs) ((regs)->regs[3])
#define ARG4(regs) ((regs)->regs[4])
#endif

/* A system call that moved bytes. */
struct call {
	__u32 op;
	__u32 fd;
	__u64 arg1, arg2;
	__u64 flags;
	long ret;
};

/* Where the bytes of a read or write are: one buffer, or a vector of them. */
struct buffers {
	__u64 base, len;
	__u64 next, count;
	__u64 left; /* bytes of the system call not looked at yet */
};

static __always_inline bool next_buffer(struct buffers *b)
{
	struct user_iovec iov;

	if (!b->count || bpf_probe_read_user(&iov, sizeof(iov), (void *)b->next))
		return false;
	b->base = iov.base;
	b->len = iov.len;
	b->next += sizeof(iov);
	b->count--;
	return true;
}

static __always_inline bool find_buffers(struct buffers *b, const struct call *c)
{
	struct user_msghdr msg;

	__builtin_memset(b, 0, sizeof(*b));
	b->left = c->ret;
	switch (c->op) {
	case OP_READ:
	case OP_RECVFROM:
	case OP_WRITE:
		b->base = c->arg1;
		b->len = c->arg2;
		return true;
	case OP_READV:
	case OP_WRITEV:
		b->next = c->arg1;
		b->count = c->arg2;
		return next_buffer(b);
	case OP_RECVMSG:
	case OP_SENDMSG:
		if (bpf_probe_read_user(&msg, sizeof(msg), (void *)c->arg1))
			return false;
		b->next = msg.iov;
		b->count = msg.iovlen;
		return next_buffer(b);
	}
	return false;
}
