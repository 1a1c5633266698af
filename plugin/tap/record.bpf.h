// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* What the kernel's side and the reader have in common: the records in the
 * ring, and what is wanted of a connection. */

#pragma once

#include "kernel.bpf.h"

#define PIECE 8192 /* most bytes of a read in one record */
#define NAMES 4096 /* all parts of the cgroup's and the executable's path */
#define ARGS 4096  /* command line */
#define GROUPS 32  /* most groups of a process beside its own */

enum kind {
	KIND_CONNECT = 1,
	KIND_ESTABLISHED,
	KIND_SENDER,
	KIND_ACCEPT,
	KIND_REQUEST,
	KIND_RESPONSE,
	KIND_CLOSE,
	KIND_EXIT,
};

enum mode {
	MODE_FULL,
	MODE_SKIM,
	MODE_IGNORE,
};

enum flag {
	FLAG_ADOPTED = 1, /* a connection older than the tap */
	FLAG_EXE_DELETED = 2,
	FLAG_EXE_CUT = 4, /* the path's beginning is missing */
	FLAG_CGROUP_CUT = 8,
	FLAG_GROUPS_CUT = 16,
	FLAG_HOST_MOUNTS = 32, /* the mount namespace of the host's first process */
	FLAG_USER_NAMESPACE = 64, /* in a user namespace, or in mounts that one made */
};

/* How the code of a process came to be what it is. */
enum code {
	CODE_KNOWN = 1,       /* it was seen when it began: none of the others means no */
	CODE_PRELOADED = 2,   /* the environment made the loader load other files */
	CODE_UNREAD = 4,      /* the environment could not be read */
	CODE_TRACED = 8,      /* another process controls it, or did */
	CODE_WRITTEN = 16,    /* another process wrote into its memory, or can */
	CODE_RENAMED = 32,    /* it chose what its executable is */
	CODE_LOADED = 64,     /* it runs code of a file that is not root's */
};

struct header {
	__u64 time; /* CLOCK_BOOTTIME, ns */
	__u64 conn; /* the server's end: unique while the kernel runs; else 0 */
	__u64 peer; /* the client's end of a unix connection: its address; else 0 */
	enum kind kind;
	__u32 pid;    /* whose system call it was */
	__u32 client; /* who connected, of a server's end of a unix connection; else 0 */
	__u32 pad;
};

struct addresses {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 pad;
	__u32 netns; /* inode of the network namespace */
	/* What the server numbers its first byte, as both ends know it: together
	 * with the addresses it tells which client's end belongs to which
	 * server's, whatever addresses other network namespaces have. */
	__u32 seq;
};

struct process {
	__u64 start; /* CLOCK_BOOTTIME, ns */
	__u32 pid, ppid;
	__u32 uid, loginuid;
	__u32 pid_ns, mnt_ns;
	enum flag flags;
	enum code code;
	/* The executable: what the kernel itself knows the file by, and whose it is. */
	__u64 exe_ino;
	__u32 exe_dev, exe_generation;
	__u32 exe_uid, exe_mode;
	__u32 gid, group_count;
	__u32 groups[GROUPS];
	__u8 comm[16];
	__u8 parent_comm[16];
	/* Lengths in the text behind it, in this order. The parts of the two
	 * paths end in NUL each and come last part first. */
	__u32 cgroup_len, exe_len, args_len;
	__u32 text_len; /* their sum so far */
};

struct peer_event {
	struct header h;
	struct addresses a;
	struct process p;
	__u8 text[NAMES + ARGS];
};

struct established_event {
	struct header h;
	struct addresses a;
};

struct data_event {
	struct header h;
	__u64 position; /* how many bytes were read from the connection before */
	__u32 total;    /* how many bytes this is about; 0 for a close */
	__u32 length;   /* how many of them follow */
	__u8 bytes[PIECE];
};
