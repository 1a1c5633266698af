// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* Sockets: whether one is watched, which end it is, and its addresses. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "mark.bpf.h"
#include "record.bpf.h"
#include "state.bpf.h"

static __always_inline struct sock *sock_of_file(struct file *file)
{
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

static __noinline struct file *file_of(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **slots, *file = NULL;

	if (!fdt || fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	slots = BPF_CORE_READ(fdt, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]))
		return NULL;
	return file;
}

static __noinline struct sock *sock_of(__u32 fd)
{
	return sock_of_file(file_of(fd));
}

static __always_inline __u8 *watched_file(struct dentry *dentry)
{
	struct file_key key = {};
	struct inode *inode;

	if (!dentry)
		return NULL;
	inode = BPF_CORE_READ(dentry, d_inode);
	if (!inode)
		return NULL;
	key.ino = BPF_CORE_READ(inode, i_ino);
	key.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	return bpf_map_lookup_elem(&files, &key);
}

static __always_inline __u8 *watched_port(__u16 port)
{
	return bpf_map_lookup_elem(&ports, &port);
}

static __always_inline __u16 local_port(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_num);
}

static __always_inline __u16 remote_port(struct sock *sk)
{
	return __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

/* Whether an engine can be at the other end of a client's TCP connection: no
 * other server is anyone's business. */
static __always_inline bool may_reach_engine(struct sock *sk)
{
	__u8 *served = watched_port(remote_port(sk));

	return served && (*served || ports_checked != engine_changes);
}

enum role {
	ROLE_NONE,
	ROLE_CLIENT,
	ROLE_SERVER, /* an accepted socket, or the listening one */
};

static __always_inline struct sock *peer_of(struct sock *sk)
{
	if (!sk || BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX)
		return NULL;
	return BPF_CORE_READ((struct unix_sock *)sk, peer);
}

static __always_inline bool is_tcp(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_family) != AF_UNIX;
}

/* The end of a connection that a process with the mark holds. An accepted unix
 * socket has its listener's path (unix_stream_connect in net/unix/af_unix.c), a
 * TCP one its port, which counts only for an engine. */
__noinline int role_of_address(__u64 address, __u32 mark)
{
	struct sock *sk = (void *)address;
	struct unix_sock *peer;
	__u16 family;

	if (!sk)
		return ROLE_NONE;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_UNIX) {
		if (watched_file(BPF_CORE_READ((struct unix_sock *)sk, path.dentry)))
			return ROLE_SERVER;
		peer = (struct unix_sock *)BPF_CORE_READ((struct unix_sock *)sk, peer);
		if (peer && watched_file(BPF_CORE_READ(peer, path.dentry)))
			return ROLE_CLIENT;
	} else if (family == AF_INET || family == AF_INET6) {
		if (mark == MARK_ENGINE && watched_port(local_port(sk)))
			return ROLE_SERVER;
		if (may_reach_engine(sk))
			return ROLE_CLIENT;
	}
	return ROLE_NONE;
}

static __always_inline int role_of(struct sock *sk, enum mark mark)
{
	return role_of_address((__u64)sk, mark);
}

static __always_inline void fill_addresses(struct addresses *a, struct sock *sk)
{
	__builtin_memset(a, 0, sizeof(*a));
	a->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (a->family == AF_INET) {
		bpf_core_read(a->local, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_core_read(a->remote, 4, &sk->__sk_common.skc_daddr);
	} else if (a->family == AF_INET6) {
		if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
			bpf_core_read(a->local, 16, &sk->__sk_common.skc_v6_rcv_saddr);
			bpf_core_read(a->remote, 16, &sk->__sk_common.skc_v6_daddr);
		}
	} else {
		return;
	}
	a->local_port = local_port(sk);
	a->remote_port = remote_port(sk);
	a->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

/* The TCP connection of a socket, which is one itself or, if it is an MPTCP
 * one, its first. */
static __always_inline struct tcp_sock *tcp_of(struct sock *sk)
{
	struct mptcp_sock *mptcp = (void *)sk;

	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_MPTCP || !bpf_core_field_exists(mptcp->first))
		return (void *)sk;
	return (void *)BPF_CORE_READ(mptcp, first);
}

/* The other end's view of a TCP connection, as an IPv6 socket that takes IPv4
 * connections has it and as an IPv4 one has it, look the same here. */
static __always_inline void normalise(struct addresses *a, bool swap)
{
	struct addresses in = *a;

	a->netns = 0;

	if (in.family == AF_INET) {
		__builtin_memset(a->local, 0, 16);
		__builtin_memset(a->remote, 0, 16);
		a->local[10] = a->local[11] = a->remote[10] = a->remote[11] = 0xff;
		__builtin_memcpy(a->local + 12, in.local, 4);
		__builtin_memcpy(a->remote + 12, in.remote, 4);
		a->family = AF_INET6;
	}
	if (swap) {
		in = *a;
		__builtin_memcpy(a->local, in.remote, 16);
		__builtin_memcpy(a->remote, in.local, 16);
		a->local_port = in.remote_port;
		a->remote_port = in.local_port;
	}
}
