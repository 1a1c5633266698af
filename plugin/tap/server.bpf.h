// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* Servers: the connections that they accept, what they read from them, and the
 * heads of what they answer. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "mark.bpf.h"
#include "process.bpf.h"
#include "ring.bpf.h"
#include "socket.bpf.h"
#include "state.bpf.h"

#define PIECES 256 /* most records of one read */
#define SOON 65536 /* bytes since the last answer that can be a head and a usual body */
#define HEAD 512  /* most bytes of a response's head */
#define ANCESTORS 64 /* most from a process to the first */
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

static __always_inline void fill_conn_header(struct header *h, __u32 kind, struct conn *conn, struct sock *peer)
{
	fill_header(h, kind, conn->id, peer);
	h->client = conn->client;
}

/* The close of a connection says how much was read from it, so that what was
 * lost before shows. */
static __always_inline void emit_close(struct conn *conn)
{
	struct {
		struct header h;
		__u64 position;
		__u32 total, length;
	} e = {};

	fill_conn_header(&e.h, KIND_CLOSE, conn, NULL);
	e.position = conn->position;
	emit(&e, sizeof(e), conn->share, CLASS_END);
}

static __always_inline void forget_conn(__u64 key)
{
	struct conn *conn = find_conn(key, false);
	bool tcp = !conn;

	if (tcp)
		conn = find_conn(key, true);
	if (!conn)
		return;
	/* Who floods makes no room scarce by what nobody heard of. */
	if (conn->told)
		emit_close(conn);
	if (tcp)
		bpf_map_delete_elem(&tcp_conns, &key);
	else
		bpf_map_delete_elem(&conns, &key);
}

/* The plugin's own connection to a port, by what both ends know of it. */
static __always_inline bool take_own(const struct addresses *of)
{
	struct addresses a = *of;

	normalise(&a, false);
	return !bpf_map_delete_elem(&own_tcp, &a);
}

static __always_inline void put_conn(__u64 key, const struct conn *conn)
{
	if (conn->tcp)
		bpf_map_update_elem(&tcp_conns, &key, conn, BPF_ANY);
	else
		bpf_map_update_elem(&conns, &key, conn, BPF_ANY);
}

/* A new connection at the server's end. The client as the kernel noted it when
 * it connected is there even if there was no CONNECT: for an older connection,
 * or one made through io_uring. */
__noinline int adopt_conn(__u64 key, __u32 fd, __u32 flags)
{
	struct sock *sk = (void *)key;
	__u64 peer_key, *sender, *replaced;
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
	if (replaced && *replaced != key)
		forget_conn(*replaced); /* its close came to its end at the same time */
	bpf_map_update_elem(&descriptors, &fd_key, &key, BPF_ANY);

	conn.tcp = is_tcp(sk);
	peer_key = (__u64)peer_of(sk);
	fill_header(&e->h, KIND_ACCEPT, 0, (void *)peer_key);
	/* No processor accepts two connections within 256 ns, so that no id is
	 * used twice on up to 256 processors. With more, two whose numbers are
	 * 256 apart could give the same one in the same 256 ns. */
	e->h.conn = (e->h.time & ~0xffULL) | (bpf_get_smp_processor_id() & 0xff);
	conn.id = e->h.conn;
	fill_addresses(&e->a, sk);
	pid = BPF_CORE_READ(sk, sk_peer_pid);
	if (!peer_key)
		pid = NULL;
	if (conn.tcp) {
		if (!(flags & FLAG_ADOPTED))
			e->a.seq = BPF_CORE_READ(tcp_of(sk), write_seq);
		conn.own = take_own(&e->a);
		conn.share = share_of_address(e->a.remote);
	} else if (pid) {
		conn.client = number_of(pid);
		conn.own = mark_of(conn.client) == MARK_OWN;
		conn.share = conn.client;
	}
	put_conn(key, &conn);
	if (conn.own)
		return 0;

	e->h.client = conn.client;
	clear_process(&e->p);
	e->p.flags = flags;
	if (pid) {
		e->p.pid = conn.client;
		e->p.uid = BPF_CORE_READ(sk, sk_peer_cred, euid.val);
		sender = bpf_map_lookup_elem(&senders, &peer_key);
		client = leader_of(pid);
		/* One that connected through io_uring has no mark yet. */
		if (client)
			watch(conn.client, MARK_CLIENT);
		if (client && !(sender && *sender >> 32 == e->p.pid))
			fill_process(e, client);
	}
	conn.told = emit_peer(e, conn.share, conn.tcp ? CLASS_PORT : CLASS_REQUEST);
	if (conn.told)
		put_conn(key, &conn);
	return 0;
}

/* Where the engine has no unix socket, it is known by what only root can be: a
 * process named dockerd in the network namespace of the host's first process. */
__noinline int is_only_engine(__u64 address)
{
	struct sock *sk = (void *)address;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	char comm[16] = {};
	int i;

	if (!only_ports || BPF_CORE_READ(task, cred, euid.val) != 0)
		return false;
	BPF_CORE_READ_INTO(&comm, task, group_leader, comm);
	if (comm[0] != 'd' || comm[1] != 'o' || comm[2] != 'c' || comm[3] != 'k' || comm[4] != 'e' ||
	    comm[5] != 'r' || comm[6] != 'd' || comm[7])
		return false;
	for (i = 0; i < ANCESTORS; i++) {
		if (BPF_CORE_READ(task, tgid) == 1)
			return BPF_CORE_READ(task, nsproxy, net_ns) == net;
		task = BPF_CORE_READ(task, real_parent);
	}
	return false;
}

/* An engine is who accepts what comes to the watched file: a process that only
 * holds the listening socket for it, as systemd does, is none. */
static __always_inline int on_accept(long ret)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct sock *sk;
	__u8 *served;

	if (ret < 0)
		return 0;
	sk = sock_of(ret);
	if (!sk)
		return 0;
	if (is_tcp(sk)) {
		served = watched_port(local_port(sk));
		if (!served)
			return 0;
		if (mark_of(tgid) != MARK_ENGINE) {
			if (!is_only_engine((__u64)sk))
				return 0;
			watch_engine(tgid);
		}
		*served = 1;
	} else {
		if (role_of(sk, MARK_NONE) != ROLE_SERVER)
			return 0;
		watch_engine(tgid);
	}
	return adopt_conn((__u64)sk, ret, 0);
}

static __always_inline struct conn *conn_of(struct sock *sk, __u32 fd)
{
	__u64 key = (__u64)sk;
	bool tcp = is_tcp(sk);
	struct conn *conn = find_conn(key, tcp);

	if (conn)
		return conn;
	adopt_conn(key, fd, FLAG_ADOPTED);
	return find_conn(key, tcp);
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

/* Emits what is in the buffers of the scratch memory, or how much it is. Returns
 * whether any of it found room. */
__noinline int emit_pieces(__u64 share, __u32 class, __u32 shown)
{
	int told = 0;
	struct scratch *s = scratch();
	struct data_event *d;
	struct buffers *b;
	__u64 n;
	int i;

	if (!s)
		return 0;
	d = &s->data;
	b = &s->buffers;
	for (i = 0; shown && i < PIECES; i++) {
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
			told |= emit(d, sizeof(*d) - PIECE + n, share, class);
		}
		d->position += n;
		b->base += n;
		b->len -= n;
		b->left -= n;
		if (!b->left)
			return told;
	}
	d->total = b->left;
	d->length = 0;
	return told | emit(d, sizeof(*d) - PIECE, share, class);
}

/* The system call of the scratch memory read from a server's end. */
__noinline int on_request(__u64 key)
{
	struct sock *sk = (void *)key;
	struct scratch *s = scratch();
	struct data_event *d;
	struct conn *conn;
	struct call *c;
	enum mode mode;
	__u32 class;
	bool shown;

	if (!s)
		return 0;
	c = &s->call;
	d = &s->data;
	conn = conn_of(sk, c->fd);
	if (!conn)
		return 0;
	mode = mode_of(conn);
	d->position = conn->position;
	conn->position += c->ret;
	if (mode == MODE_IGNORE)
		return 0;
	class = conn->tcp ? CLASS_PORT : conn->position - conn->since > SOON ? CLASS_BODY : CLASS_REQUEST;
	fill_conn_header(&d->h, KIND_REQUEST, conn, peer_of(sk));
	shown = find_buffers(&s->buffers, c) && (mode != MODE_SKIM || c->ret <= SKIM);
	if (emit_pieces(conn->share, class, shown))
		conn->told = 1;
	return 0;
}

/* Where the head ends that the scratch memory holds n bytes of, or n. */
__noinline int head_length(__u32 n)
{
	struct scratch *s = scratch();
	__u32 i, window = 0;

	if (!s)
		return 0;
	for (i = 0; i < HEAD; i++) {
		if (i >= n)
			break;
		window = window << 8 | s->data.bytes[i];
		if (window == 0x0d0a0d0a)
			return i + 1;
	}
	return n;
}

/* The system call of the scratch memory wrote to a server's end. Of a response
 * only its head leaves the kernel. */
__noinline int on_response(__u64 key)
{
	struct sock *sk = (void *)key;
	struct scratch *s = scratch();
	struct data_event *d;
	struct buffers *b;
	struct conn *conn;
	struct call *c;
	__u64 n;

	/* A connection whose request was never seen is left alone. */
	conn = find_conn(key, is_tcp(sk));
	if (!conn || !s)
		return 0;
	c = &s->call;
	d = &s->data;
	b = &s->buffers;
	if (!find_buffers(b, c))
		return 0;
	conn->since = conn->position;
	n = b->len < b->left ? b->len : b->left;
	if (n > HEAD)
		n = HEAD;
	barrier_var(n);
	if (n > HEAD || n < 12 || bpf_probe_read_user(d->bytes, n, (void *)b->base))
		return 0;
	if (d->bytes[0] != 'H' || d->bytes[1] != 'T' || d->bytes[2] != 'T' || d->bytes[3] != 'P' ||
	    d->bytes[4] != '/' || d->bytes[5] != '1' || d->bytes[6] != '.')
		return 0;
	if (mode_of(conn) == MODE_IGNORE)
		return 0;
	n = head_length(n);
	fill_conn_header(&d->h, KIND_RESPONSE, conn, peer_of(sk));
	d->position = conn->position;
	d->total = c->ret;
	d->length = n;
	barrier_var(n);
	if (n > HEAD)
		return 0;
	/* What it means is for user space to find out: bytes of a body can look
	 * like a head. */
	emit(d, sizeof(*d) - PIECE + n, conn->share, conn->tcp ? CLASS_PORT : CLASS_REQUEST);
	return 0;
}

static __always_inline int on_close(__u32 fd)
{
	struct fd_key fd_key = {};
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
	forget_conn(key);
	return 0;
}
