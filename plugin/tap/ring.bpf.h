// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* How records leave the kernel, and who may take how much of the ring. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_helpers.h>
#include "record.bpf.h"
#include "state.bpf.h"

#define SHARES 4096
#define EIGHTHS 16 /* a power of two, more than can be in the ring at once */
#define SHARE_OF_ADDRESS (1ULL << 63)

/* What a record is, which decides how full the ring may be for it: an upload
 * leaves room for requests, ports leave room for the engine's own socket, and
 * all of them for the ends of connections. */
enum class {
	CLASS_END,     /* of a connection or a process: few bytes, and never many of them */
	CLASS_REQUEST, /* who connected, heads, answers */
	CLASS_BODY,    /* what is read long after the last answer */
	CLASS_PORT,    /* all of a TCP connection */
};

/* What is in the ring of one client: bytes by the eighth of the ring that they
 * are in, counted on and on. */
struct share {
	__u64 last; /* eighth that was written to */
	__u64 lost; /* records */
	__u32 bytes[EIGHTHS];
};

/* By pid, or by address for a client of a port. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SHARES);
	__type(key, __u64);
	__type(value, struct share);
} shares SEC(".maps");

static __always_inline struct share *share_of(__u64 key)
{
	struct share *share = bpf_map_lookup_elem(&shares, &key), new = {};

	if (share)
		return share;
	bpf_map_update_elem(&shares, &key, &new, BPF_ANY);
	return bpf_map_lookup_elem(&shares, &key);
}

/* Each client may have eight times as much in the ring as is free of it. One
 * alone gets nearly all, any number of them leave something for who comes next,
 * and who floods loses his own records. (Choudhury and Hahne, Dynamic queue
 * length thresholds for shared-memory packet switches, 1998.) */
static __always_inline bool has_room(struct share *share, __u64 size, __u64 room, __u64 limit, __u64 used)
{
	__u64 eighth = room / 8, first, now, sum = size;
	int i;

	if (!eighth || used + size > limit)
		return false;
	first = bpf_ringbuf_query(&ring, BPF_RB_CONS_POS) / eighth;
	now = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS) / eighth;
	for (i = 1; i <= EIGHTHS; i++) {
		if (share->last + i > now)
			break;
		share->bytes[(share->last + i) & (EIGHTHS - 1)] = 0;
	}
	share->last = now;
	for (i = 0; i <= 8; i++) {
		if (first + i > now)
			break;
		sum += share->bytes[(first + i) & (EIGHTHS - 1)];
	}
	if (sum > 8 * (limit - used))
		return false;
	share->bytes[now & (EIGHTHS - 1)] += size;
	return true;
}

/* Whether the ring has room for a record, which counts as the client's then. The
 * verifier looks at it once and not for each call, which is why it is not
 * static here and elsewhere. */
__noinline int admit(__u64 client, __u64 size, __u32 class)
{
	__u64 room = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE);
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u64 limit = room - room / 16;
	struct share *share;

	if (class == CLASS_END)
		return 1;
	if (class == CLASS_BODY)
		limit = room / 4 * 3;
	else if (class == CLASS_PORT)
		limit = room / 4;
	share = share_of(client);
	if (share && has_room(share, size, room, limit, used))
		return 1;
	if (share)
		__sync_fetch_and_add(&share->lost, 1);
	return 0;
}

/* The reader looks by itself every few milliseconds. To wake it is dear for
 * whom the event is about, and done only when the ring fills. Returns false if
 * the record is lost. */
static __always_inline bool emit(void *event, __u64 size, __u64 client, __u32 class)
{
	__u64 room = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE);
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u32 zero = 0;
	__u64 *dropped;

	if (admit(client, size, class) &&
	    !bpf_ringbuf_output(&ring, event, size, used > room / 8 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP))
		return true;
	dropped = bpf_map_lookup_elem(&drops, &zero);
	if (dropped)
		*dropped += 1;
	return false;
}
