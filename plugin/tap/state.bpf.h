// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* What the tap keeps, and how it leaves the kernel. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_helpers.h>
#include "record.bpf.h"
#include "syscall.bpf.h"

struct file_key {
	__u64 ino;
	__u32 dev;
	__u32 pad;
};

struct conn {
	__u64 id;
	__u64 position;
	__u64 since; /* position at the last answer */
	__u64 share; /* whose share of the ring its records take */
	__u32 client; /* pid, or 0 */
	__u8 own;
	__u8 tcp;
	__u8 told; /* something of it is in the ring */
	__u8 pad;
};

struct fd_key {
	__u32 tgid;
	__u32 fd;
};

/* The memory of one system call. What loops count with is in it as well, and
 * not on the stack: the verifier would follow each value that it can have and
 * find the loops too long. */
struct scratch {
	union {
		struct peer_event peer;
		struct data_event data;
	};
	struct call call;
	struct buffers buffers;
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* The listening sockets, files and TCP ports, with whether an engine was seen to
 * serve one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct file_key);
	__type(value, __u8);
} files SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u16);
	__type(value, __u8);
} ports SEC(".maps");

/* The servers' ends by the address of the sock. Those of ports are apart:
 * whoever reaches a port can make many, and they take no place of others. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct conn);
} tcp_conns SEC(".maps");

/* Which sock a server's descriptor is, to know what a close closed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct fd_key);
	__type(value, __u64);
} descriptors SEC(".maps");

/* Who used the clients' ends last: by the address of the sock, the pid, its enum
 * code and how often it executed a program. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, __u64);
} senders SEC(".maps");

/* What is wanted of a connection, by its id. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, enum mode);
} modes SEC(".maps");

/* The plugin's own ends of TCP connections, by the address of the sock, and the
 * connections as the server sees them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u8);
} own_socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct addresses);
	__type(value, __u8);
} own_tcp SEC(".maps");

static __always_inline struct scratch *scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

static __always_inline void fill_header(struct header *h, __u32 kind, __u64 conn, struct sock *peer)
{
	h->time = bpf_ktime_get_boot_ns();
	h->conn = conn;
	h->peer = (__u64)peer;
	h->kind = kind;
	h->pid = bpf_get_current_pid_tgid() >> 32;
	h->client = 0;
	h->pad = 0;
}

static __always_inline struct conn *find_conn(__u64 key, bool tcp)
{
	if (tcp)
		return bpf_map_lookup_elem(&tcp_conns, &key);
	return bpf_map_lookup_elem(&conns, &key);
}
