// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* Clients: who connected, who sends, and who was handed a connection. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "code.bpf.h"
#include "mark.bpf.h"
#include "process.bpf.h"
#include "ring.bpf.h"
#include "socket.bpf.h"
#include "state.bpf.h"

#define MAX_PASSED_FDS 8 /* descriptors looked at in one message */
#define CONTROLS 3       /* control messages looked at in one message */
#define SCANNED 128      /* descriptors looked at for watched sockets */
#define SENDS_A_LOOK 1024 /* sends elsewhere for each look whether a sharer still is one */

/* Another one where another process sends, and where it is the same but other
 * code can be in it by now. */
static __always_inline __u64 sender_id(struct task_struct *task)
{
	__u32 tgid = BPF_CORE_READ(task, tgid);
	__u8 *code = code_of(tgid);

	return (__u64)tgid << 32 | (__u64)(code ? *code : 0) << 24 | (BPF_CORE_READ(task, self_exec_id) & 0xffffff);
}

/* Records that the current process is at the client's end. On TCP the addresses
 * may be known in part only: KIND_ESTABLISHED has them. */
__noinline int emit_client(__u64 key, __u32 kind)
{
	struct sock *sk = (void *)key;
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 sender = sender_id(task);
	struct scratch *s = scratch();
	struct peer_event *e;

	if (!s)
		return 0;
	bpf_map_update_elem(&senders, &key, &sender, BPF_ANY);
	e = &s->peer;
	fill_header(&e->h, kind, 0, sk);
	fill_addresses(&e->a, sk);
	clear_process(&e->p);
	fill_process(e, task);
	emit_peer(e, sender >> 32, is_tcp(sk) ? CLASS_PORT : CLASS_REQUEST);
	return 0;
}

static __always_inline int on_connect(__u32 fd, long ret)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct sock *sk;

	if (ret || mark_of(tgid) == MARK_OWN)
		return 0;
	sk = sock_of(fd);
	if (role_of(sk, MARK_NONE) != ROLE_CLIENT || is_tcp(sk))
		return 0;
	watch(tgid, MARK_CLIENT);
	return emit_client((__u64)sk, KIND_CONNECT);
}

/* A TCP connection begins, whatever began it: connect, fast open, io_uring.
 * This is in the context of who did, and before the port of this end is chosen. */
static __always_inline int on_tcp_connect(struct sock *sk)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	__u64 key = (__u64)sk;
	__u8 one = 1;

	if (mark_of(tgid) == MARK_OWN) {
		bpf_map_update_elem(&own_socks, &key, &one, BPF_ANY);
		return 0;
	}
	watch(tgid, MARK_CLIENT);
	return emit_client(key, KIND_CONNECT);
}

/* The server has answered: now all that tells the connection apart is known.
 * Whose context this is does not matter. It is before the server can accept it,
 * but with fast open. */
static __noinline int on_tcp_established(struct sock *sk)
{
	/* Not in scratch memory: this can come in the middle of another's use. */
	struct established_event e = {};
	__u64 key = (__u64)sk;
	__u8 one = 1;

	fill_addresses(&e.a, sk);
	e.a.seq = BPF_CORE_READ((struct tcp_sock *)sk, copied_seq);
	if (!bpf_map_delete_elem(&own_socks, &key)) {
		normalise(&e.a, true);
		bpf_map_update_elem(&own_tcp, &e.a, &one, BPF_ANY);
		return 0;
	}
	fill_header(&e.h, KIND_ESTABLISHED, 0, sk);
	emit(&e, sizeof(e), share_of_address(e.a.local), CLASS_PORT);
	return 0;
}

static __always_inline int on_client_send(struct sock *sk)
{
	__u64 key = (__u64)sk, *last, now;

	now = sender_id((void *)bpf_get_current_task());
	last = bpf_map_lookup_elem(&senders, &key);
	if (last && *last == now)
		return 0;
	/* From here on it takes two to know who sends. */
	if (last && *last >> 32 != now >> 32)
		watch(*last >> 32, MARK_SHARER);
	return emit_client(key, KIND_SENDER);
}

/* Whether the current process has watched sockets: as an engine, as a client or
 * none. One with descriptors too many to look at counts as what it was: better
 * looked at in vain than not. */
__noinline int held_mark(__u32 mark)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	unsigned long *open = BPF_CORE_READ(fdt, open_fds), word;
	enum mark held = MARK_NONE;
	struct sock *sk;
	__u32 i;
	int role;

	for (i = 0; i < SCANNED; i++) {
		if (i >= BPF_CORE_READ(fdt, max_fds))
			break;
		sk = sock_of(i);
		role = role_of(sk, MARK_NONE);
		if (role == ROLE_SERVER)
			return mark;
		if (role == ROLE_CLIENT)
			held = MARK_SHARER;
	}
	for (i = SCANNED; i < 4096; i += 64) {
		if (i >= BPF_CORE_READ(fdt, max_fds))
			break;
		if (bpf_probe_read_kernel(&word, sizeof(word), open + i / 64) || word)
			return mark;
	}
	return held;
}

/* Takes the mark from a process that has no watched socket any more. */
__noinline int drop_sharer(void)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (held_mark(MARK_SHARER) != MARK_NONE)
		return 0;
	set_mark(tgid, MARK_NONE);
	/* Another of its threads may have been handed one meanwhile. */
	if (held_mark(MARK_SHARER) != MARK_NONE)
		watch(tgid, MARK_SHARER);
	return 0;
}

/* A process that took a watched connection, or was handed it, is a client from now
 * on, and may send at once: not each way of sending is seen. */
static __noinline int on_descriptor(__u32 fd)
{
	struct sock *sk = sock_of(fd);
	int role = role_of(sk, MARK_NONE);

	if (role == ROLE_NONE)
		return 0;
	watch(bpf_get_current_pid_tgid() >> 32, MARK_SHARER);
	if (role == ROLE_CLIENT)
		on_client_send(sk);
	return 1;
}

/* A process with connections of others has the kernel work for it: what it sends by
 * io_uring or io_submit shows nowhere, so all of them count as sent on. */
__noinline int on_queue(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct sock *sk;
	__u32 i;

	for (i = 0; i < SCANNED; i++) {
		if (i >= BPF_CORE_READ(fdt, max_fds))
			break;
		sk = sock_of(i);
		if (role_of(sk, MARK_NONE) == ROLE_CLIENT)
			on_client_send(sk);
	}
	return 0;
}

static __always_inline int on_control(__u64 message)
{
	struct user_msghdr msg;
	struct user_cmsghdr c;
	__u64 at, end;
	__u32 fd;
	int i, j;

	if (bpf_probe_read_user(&msg, sizeof(msg), (void *)message))
		return 0;
	at = msg.control;
	end = msg.control + msg.controllen;
	for (i = 0; i < CONTROLS; i++) {
		if (msg.controllen < sizeof(c) || at + sizeof(c) > end)
			return 0;
		if (bpf_probe_read_user(&c, sizeof(c), (void *)at) || c.len < sizeof(c))
			return 0;
		if (c.level == SOL_SOCKET && c.type == SCM_RIGHTS) {
			for (j = 0; j < MAX_PASSED_FDS; j++) {
				if (sizeof(c) + (j + 1) * sizeof(fd) > c.len)
					break;
				if (bpf_probe_read_user(&fd, sizeof(fd), (void *)(at + sizeof(c) + j * sizeof(fd))))
					break;
				if (on_descriptor(fd))
					return 0;
			}
		}
		at += (c.len + 7) & ~7ULL;
	}
	return 0;
}
