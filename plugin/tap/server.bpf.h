// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* Servers: the connections that they accept, what they read from them, and the
 * heads of what they answer. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "mark.bpf.h"
#include "process.bpf.h"
#include "socket.bpf.h"
#include "state.bpf.h"

#define PIECES 256 /* most records of one read */
#define HEAD 512  /* most bytes of a response's head */
#define SKIM 4096 /* reads above this are only counted while skimming */

static __always_inline struct task_struct *leader_of(struct pid *pid)
{
	struct hlist_node *node = NULL;

	if (!pid)
		return NULL;
	bpf_core_read(&node, sizeof(node), &pid->tasks[PIDTYPE_TGID].first);
	if (!node)
		return NULL;
	return (void *)node - bpf_core_field_offset(struct task_struct, pid_links) - PIDTYPE_TGID * sizeof(*node);
}

static __always_inline __u32 number_of(struct pid *pid)
{
	return pid ? BPF_CORE_READ(pid, numbers[0].nr) : 0;
}

/* A new connection at the server's end. The client as the kernel noted it when
 * it connected is there even if there was no CONNECT: for an older connection,
 * or one made through io_uring. */
static __noinline int adopt_conn(struct sock *sk, __u32 fd, __u32 flags)
{
	__u64 key = (__u64)sk, peer_key, *sender, *replaced;
	struct fd_key fd_key = {};
	struct conn conn = {};
	struct task_struct *client;
	struct pid *pid;
	struct peer_event *e;
	struct scratch *s = scratch();

	if (!s)
		return 0;
	e = &s->peer;
	fd_key.tgid = bpf_get_current_pid_tgid() >> 32;
	fd_key.fd = fd;
	replaced = bpf_map_lookup_elem(&descriptors, &fd_key);
	if (replaced && *replaced != key) {
		/* Its close came to its end at the same time. */
		__u64 old = *replaced;
		struct conn *closed = bpf_map_lookup_elem(&conns, &old);

		if (closed) {
			fill_header(&e->h, KIND_CLOSE, closed->id, NULL);
			emit(e, sizeof(e->h));
			bpf_map_delete_elem(&conns, &old);
		}
	}
	bpf_map_update_elem(&descriptors, &fd_key, &key, BPF_ANY);

	peer_key = (__u64)peer_of(sk);
	fill_header(&e->h, KIND_ACCEPT, 0, (void *)peer_key);
	/* No processor accepts two connections within 256 ns, so that no id is
	 * used twice on up to 256 processors. With more, two whose numbers are
	 * 256 apart could give the same one in the same 256 ns. */
	e->h.conn = (e->h.time & ~0xffULL) | (bpf_get_smp_processor_id() & 0xff);
	conn.id = e->h.conn;
	pid = BPF_CORE_READ(sk, sk_peer_pid);
	if (!peer_key)
		pid = NULL;
	conn.own = pid && mark_of(number_of(pid)) == MARK_OWN;
	bpf_map_update_elem(&conns, &key, &conn, BPF_ANY);
	if (conn.own)
		return 0;

	fill_addresses(&e->a, sk);
	clear_process(&e->p);
	e->p.flags = flags;
	if (pid) {
		e->p.pid = number_of(pid);
		e->p.uid = BPF_CORE_READ(sk, sk_peer_cred, euid.val);
		sender = bpf_map_lookup_elem(&senders, &peer_key);
		client = leader_of(pid);
		if (client && !(sender && *sender >> 32 == e->p.pid))
			fill_process(e, client);
	}
	emit_peer(e);
	return 0;
}

static __always_inline int on_accept(long ret)
{
	struct sock *sk;

	if (ret < 0)
		return 0;
	sk = sock_of(ret);
	if (role_of(sk) != ROLE_SERVER)
		return 0;
	watch(bpf_get_current_pid_tgid() >> 32);
	return adopt_conn(sk, ret, 0);
}

static __always_inline struct conn *conn_of(struct sock *sk, __u32 fd)
{
	__u64 key = (__u64)sk;
	struct conn *conn = bpf_map_lookup_elem(&conns, &key);

	if (conn)
		return conn;
	adopt_conn(sk, fd, FLAG_ADOPTED);
	return bpf_map_lookup_elem(&conns, &key);
}

static __always_inline enum mode mode_of(struct conn *conn)
{
	__u64 id = conn->id;
	enum mode *mode;

	if (conn->own)
		return MODE_IGNORE;
	mode = bpf_map_lookup_elem(&modes, &id);
	return mode ? *mode : MODE_FULL;
}

static __always_inline void forget_own(struct sock *sk, struct conn *conn)
{
	struct addresses a;
	struct header h;

	fill_addresses(&a, sk);
	if (a.family == AF_UNIX)
		return;
	normalise(&a, false);
	if (!bpf_map_lookup_elem(&own_tcp, &a))
		return;
	bpf_map_delete_elem(&own_tcp, &a);
	conn->own = 1;
	fill_header(&h, KIND_CLOSE, conn->id, NULL);
	emit(&h, sizeof(h));
}

static __noinline int on_request(struct sock *sk, const struct call *c)
{
	struct conn *conn = conn_of(sk, c->fd);
	struct scratch *s = scratch();
	struct data_event *d;
	struct buffers *b;
	enum mode mode;
	bool found;
	__u64 n;
	int i;

	if (!conn || !s)
		return 0;
	d = &s->data;
	b = &s->buffers;
	if (conn->position == 0 && !conn->own)
		forget_own(sk, conn);
	mode = mode_of(conn);
	d->position = conn->position;
	conn->position += c->ret;
	if (mode == MODE_IGNORE)
		return 0;
	fill_header(&d->h, KIND_REQUEST, conn->id, peer_of(sk));
	found = find_buffers(b, c) && (mode != MODE_SKIM || c->ret <= SKIM);
	for (i = 0; found && i < PIECES; i++) {
		if (!b->len && !next_buffer(b))
			break;
		n = b->len < b->left ? b->len : b->left;
		if (n > PIECE)
			n = PIECE;
		barrier_var(n);
		if (n > PIECE || bpf_probe_read_user(d->bytes, n, (void *)b->base))
			break;
		if (n) {
			d->total = n;
			d->length = n;
			emit(d, sizeof(*d) - PIECE + n);
		}
		d->position += n;
		b->base += n;
		b->len -= n;
		b->left -= n;
		if (!b->left)
			return 0;
	}
	d->total = b->left;
	d->length = 0;
	emit(d, sizeof(*d) - PIECE);
	return 0;
}

/* Of a response only its head leaves the kernel. */
static __noinline int on_response(struct sock *sk, const struct call *c)
{
	struct scratch *s = scratch();
	struct data_event *d;
	struct buffers *b;
	struct conn *conn;
	__u32 window = 0;
	__u64 n, id;
	__u32 i;

	if (!s || !find_buffers(&s->buffers, c))
		return 0;
	d = &s->data;
	b = &s->buffers;
	n = b->len < b->left ? b->len : b->left;
	if (n > HEAD)
		n = HEAD;
	barrier_var(n);
	if (n > HEAD || n < 12 || bpf_probe_read_user(d->bytes, n, (void *)b->base))
		return 0;
	if (d->bytes[0] != 'H' || d->bytes[1] != 'T' || d->bytes[2] != 'T' || d->bytes[3] != 'P' ||
	    d->bytes[4] != '/' || d->bytes[5] != '1' || d->bytes[6] != '.')
		return 0;
	for (i = 0; i < HEAD; i++) {
		if (i >= n)
			break;
		window = window << 8 | d->bytes[i];
		if (window == 0x0d0a0d0a) {
			n = i + 1;
			break;
		}
	}
	/* A connection whose request was never seen is left alone. */
	id = (__u64)sk;
	conn = bpf_map_lookup_elem(&conns, &id);
	if (!conn || mode_of(conn) == MODE_IGNORE)
		return 0;
	fill_header(&d->h, KIND_RESPONSE, conn->id, peer_of(sk));
	d->position = conn->position;
	d->total = c->ret;
	d->length = n;
	barrier_var(n);
	if (n > HEAD)
		return 0;
	/* What it means is for user space to find out: bytes of a body can look
	 * like a head. */
	emit(d, sizeof(*d) - PIECE + n);
	return 0;
}

static __always_inline int on_close(__u32 fd)
{
	struct fd_key fd_key = {};
	struct conn *conn;
	struct header h;
	__u64 *sk, key;

	fd_key.tgid = bpf_get_current_pid_tgid() >> 32;
	fd_key.fd = fd;
	sk = bpf_map_lookup_elem(&descriptors, &fd_key);
	if (!sk)
		return 0;
	key = *sk;
	/* Another thread's accept got the number before this point. */
	if (sock_of(fd) == (void *)key)
		return 0;
	bpf_map_delete_elem(&descriptors, &fd_key);
	conn = bpf_map_lookup_elem(&conns, &key);
	if (!conn)
		return 0;
	if (!conn->own) {
		fill_header(&h, KIND_CLOSE, conn->id, NULL);
		emit(&h, sizeof(h));
	}
	bpf_map_delete_elem(&conns, &key);
	return 0;
}
