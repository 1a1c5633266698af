// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* Clients: who connected, who sends, and who was handed a connection. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "mark.bpf.h"
#include "process.bpf.h"
#include "socket.bpf.h"
#include "state.bpf.h"

#define MAX_PASSED_FDS 8 /* descriptors looked at in one message */
#define CONTROLS 3       /* control messages looked at in one message */

static __always_inline __u64 sender_id(struct task_struct *task)
{
	return (__u64)BPF_CORE_READ(task, tgid) << 32 | (__u32)BPF_CORE_READ(task, self_exec_id);
}

static __noinline int emit_client(struct sock *sk, __u32 kind)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u64 key = (__u64)sk, sender = sender_id(task);
	struct scratch *s = scratch();
	struct peer_event *e;

	if (!s)
		return 0;
	bpf_map_update_elem(&senders, &key, &sender, BPF_ANY);
	e = &s->peer;
	fill_header(&e->h, kind, 0, peer_of(sk) ? sk : NULL);
	fill_addresses(&e->a, sk);
	clear_process(&e->p);
	fill_process(e, task);
	emit_peer(e);
	return 0;
}

static __always_inline int on_connect(__u32 fd, long ret)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct addresses a;
	struct sock *sk;
	__u8 one = 1;

	/* An interrupted TCP connect goes on in the background. */
	if (ret && ret != -EINPROGRESS && ret != -EINTR && ret != -ERESTARTSYS)
		return 0;
	sk = sock_of(fd);
	if (role_of(sk) != ROLE_CLIENT)
		return 0;
	if (mark_of(tgid) == MARK_OWN) {
		fill_addresses(&a, sk);
		if (a.family != AF_UNIX) {
			normalise(&a, true);
			bpf_map_update_elem(&own_tcp, &a, &one, BPF_ANY);
		}
		return 0;
	}
	watch(tgid);
	return emit_client(sk, KIND_CONNECT);
}

static __always_inline int on_client_send(struct sock *sk)
{
	__u64 key = (__u64)sk, *last;

	last = bpf_map_lookup_elem(&senders, &key);
	if (last && *last == sender_id((void *)bpf_get_current_task()))
		return 0;
	return emit_client(sk, KIND_SENDER);
}

/* A process that was handed a watched connection is a client from now on. */
static __noinline int on_descriptor(__u32 fd)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (mark_of(tgid) != MARK_NONE || role_of(sock_of(fd)) == ROLE_NONE)
		return 0;
	watch(tgid);
	return 1;
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
