// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

//go:build ignore

/* The kernel's side of the request tap. A connection is known by the socket it
 * reached: its path's inode or its port. What a server reads from such a
 * connection is the request, whatever way the client sent it; who the client
 * is was noted when it connected.
 *
 * Nothing here is newer than Linux 5.8. */

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

/* The kernel lets only programs under a licence in its own list use these
 * helpers. Apache-2.0 is not in it: the program says the other of the two. */
char LICENSE[] SEC("license") = "GPL";

/* One more than the largest pid a 64-bit Linux can have. */
#define PIDS (1 << 22)
#define SYSCALLS 512
#define STRANGERS (1 << 14)
#define STACK_SHIFT 14 /* no kernel stack is smaller: x86 has 16 KiB, arm64 as well */
#define SALT 0x9e3779b97f4a7c15ULL /* any large odd number */

#define PIECE 8192    /* most bytes of a read in one record */
#define PIECES 8      /* most records of one read */
#define HEAD 512      /* most bytes of a response's head */
#define SKIM 4096     /* reads above this are only counted while skimming */
#define NAMES 4096    /* all parts of the cgroup's and the executable's path */
#define NAME 256      /* one of them, with its NUL */
#define ARGS 4096     /* command line */
#define CGROUPS 16    /* most parts of a cgroup's path */
#define DEPTH 48      /* most parts and mount points of an executable's path */
#define SCANNED 128   /* descriptors looked at after an exec */
#define PASSED 8     /* descriptors looked at in one message */
#define CONTROLS 3    /* control messages looked at in one message */

enum kind {
	KIND_CONNECT = 1,
	KIND_SENDER,
	KIND_ACCEPT,
	KIND_REQUEST,
	KIND_RESPONSE,
	KIND_CLOSE,
	KIND_EXIT,
};

enum mode {
	MODE_ALL,
	MODE_SKIM,
	MODE_IGNORE,
};

enum __attribute__((packed)) mark {
	MARK_NONE,
	MARK_WATCHED, /* holds, or held, a watched socket */
	MARK_OWN,     /* the plugin itself: never looked at */
};

enum flag {
	FLAG_ADOPTED = 1,      /* a connection older than the tap */
	FLAG_EXE_DELETED = 2,
	FLAG_EXE_CUT = 4,      /* the path's beginning is missing */
	FLAG_ARGS_CUT = 8,
	FLAG_CGROUP_CUT = 16,
};

struct header {
	__u64 time; /* CLOCK_BOOTTIME, ns */
	__u64 conn; /* the server's end: unique while the kernel runs; else 0 */
	__u64 peer; /* the client's end of a unix connection: its address; else 0 */
	enum kind kind;
	__u32 pid; /* whose system call it was */
};

struct addresses {
	__u8 local[16];
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u16 family;
	__u16 pad;
};

struct process {
	__u64 start; /* CLOCK_BOOTTIME, ns */
	__u32 pid, tid, ppid;
	__u32 uid, gid, loginuid;
	__u32 ns_pid, pid_ns, mnt_ns;
	enum flag flags;
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

struct data_event {
	struct header h;
	__u64 position; /* how many bytes were read from the connection before */
	__u32 total;    /* how many bytes this is about */
	__u32 length;   /* how many of them follow */
	__u8 bytes[PIECE];
};

struct file_key {
	__u64 ino;
	__u32 dev;
	__u32 pad;
};

struct conn {
	__u64 id;
	__u64 position;
	__u64 own;
};

struct fd_key {
	__u32 tgid;
	__u32 fd;
};

/* Where the bytes of a read or write are: one buffer, or a vector of them. */
struct buffers {
	__u64 base, len;
	__u64 next, count;
	__u64 left; /* bytes of the system call not looked at yet */
};

/* The memory of one system call. What loops count with is in it as well, and
 * not on the stack: the verifier would follow each value that it can have and
 * find the loops too long. */
struct scratch {
	union {
		struct peer_event peer;
		struct data_event data;
	};
	struct buffers buffers;
};

/* Every process' mark by its pid, whole, so that no process can take the place
 * of another. It alone is .bss: a map's value can be 4 MiB at most before Linux
 * 5.16. */
enum mark marks[PIDS];

/* Threads whose process has no mark, so that the end of a system call is over
 * after a look-up in an array for nearly everything on the machine. A thread is known by
 * where its registers are saved: at the top of its kernel stack. An entry counts
 * only with the salt under which it was made, which changes with every new mark
 * and with every new thread that has one, as it can have a stranger's stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, STRANGERS);
	__type(key, __u32);
	__type(value, __u64);
} strangers SEC(".maps");

__u64 salt SEC(".data");

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

/* The listening sockets: files and TCP ports. */
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

/* The servers' ends by the address of the sock. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct conn);
} conns SEC(".maps");

/* Which sock a server's descriptor is, to know what a close closed. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct fd_key);
	__type(value, __u64);
} descriptors SEC(".maps");

/* Who used the clients' ends last: by the address of the sock, the pid and how
 * often it executed a program. */
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

/* TCP connections that the plugin itself made, as the server sees them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct addresses);
	__type(value, __u8);
} own_tcp SEC(".maps");

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
	OP_OF_ANYONE = 0x80, /* also looked at in processes without a mark */
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
	[1] = OP_WRITE,
	[44] = OP_WRITE, /* sendto */
	[20] = OP_WRITEV,
	[328] = OP_WRITEV, /* pwritev2 */
	[46] = OP_SENDMSG,
	[307] = OP_SENDMMSG,
	[275] = OP_SPLICE,
	[40] = OP_SENDFILE,
	[3] = OP_CLOSE,
	/* A 32-bit process' socketcall and connect. The first is getuid in a
	 * 64-bit one. */
	[102] = OP_IA32 | OP_OF_ANYONE,
	[362] = OP_IA32 | OP_OF_ANYONE,
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
	[64] = OP_WRITE,
	[206] = OP_WRITE, /* sendto */
	[66] = OP_WRITEV,
	[287] = OP_WRITEV, /* pwritev2 */
	[211] = OP_SENDMSG,
	[269] = OP_SENDMMSG,
	[76] = OP_SPLICE,
	[71] = OP_SENDFILE,
	[57] = OP_CLOSE,
#endif
};

#if defined(__TARGET_ARCH_x86)
#define SYSCALL_NR(regs) ((regs)->orig_ax & ~0x40000000UL) /* less x32's bit */
#define ARG0(regs) ((regs)->di)
#define ARG1(regs) ((regs)->si)
#define ARG2(regs) ((regs)->dx)
#define ARG3(regs) ((regs)->r10)
#define TS_COMPAT 2
#else
#define SYSCALL_NR(regs) ((__u32)(regs)->syscallno)
#define ARG0(regs) ((regs)->orig_x0)
#define ARG1(regs) ((regs)->regs[1])
#define ARG2(regs) ((regs)->regs[2])
#define ARG3(regs) ((regs)->regs[3])
#endif

static __always_inline enum mark mark_of(__u32 tgid)
{
	return marks[tgid & (PIDS - 1)];
}

static __always_inline void forget_strangers(void)
{
	__sync_fetch_and_add(&salt, SALT);
}

static __always_inline void watch(__u32 tgid)
{
	enum mark *mark = &marks[tgid & (PIDS - 1)];

	if (*mark != MARK_NONE)
		return;
	*mark = MARK_WATCHED;
	forget_strangers();
}

static __always_inline struct scratch *scratch(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratches, &zero);
}

/* The reader looks by itself every few milliseconds. To wake it is dear for
 * whom the event is about, and done only when the ring fills. */
static __always_inline void emit(void *event, __u64 size)
{
	__u64 room = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE);
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u32 zero = 0;
	__u64 *dropped;

	if (!bpf_ringbuf_output(&ring, event, size, used > room / 8 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP))
		return;
	dropped = bpf_map_lookup_elem(&drops, &zero);
	if (dropped)
		*dropped += 1;
}

static __always_inline void fill_header(struct header *h, __u32 kind, __u64 conn, struct sock *peer)
{
	h->time = bpf_ktime_get_boot_ns();
	h->conn = conn;
	h->peer = (__u64)peer;
	h->kind = kind;
	h->pid = bpf_get_current_pid_tgid() >> 32;
}

/* Sockets. */

static __always_inline struct sock *sock_of_file(struct file *file)
{
	struct socket *socket;

	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	socket = BPF_CORE_READ(file, private_data);
	return socket ? BPF_CORE_READ(socket, sk) : NULL;
}

static __noinline struct sock *sock_of(__u32 fd)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct fdtable *fdt = BPF_CORE_READ(task, files, fdt);
	struct file **slots, *file = NULL;

	if (!fdt || fd >= BPF_CORE_READ(fdt, max_fds))
		return NULL;
	slots = BPF_CORE_READ(fdt, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), &slots[fd]))
		return NULL;
	return sock_of_file(file);
}

static __always_inline bool is_watched_file(struct dentry *dentry)
{
	struct file_key key = {};
	struct inode *inode;

	if (!dentry)
		return false;
	inode = BPF_CORE_READ(dentry, d_inode);
	if (!inode)
		return false;
	key.ino = BPF_CORE_READ(inode, i_ino);
	key.dev = BPF_CORE_READ(inode, i_sb, s_dev);
	return bpf_map_lookup_elem(&files, &key);
}

static __always_inline bool is_watched_port(__u16 port)
{
	return bpf_map_lookup_elem(&ports, &port);
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

/* An accepted unix socket has its listener's path (unix_stream_connect in
 * net/unix/af_unix.c), a TCP one its port. */
static __noinline int role_of(struct sock *sk)
{
	struct unix_sock *peer;
	__u16 family;

	if (!sk)
		return ROLE_NONE;
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family == AF_UNIX) {
		if (is_watched_file(BPF_CORE_READ((struct unix_sock *)sk, path.dentry)))
			return ROLE_SERVER;
		peer = (struct unix_sock *)BPF_CORE_READ((struct unix_sock *)sk, peer);
		if (peer && is_watched_file(BPF_CORE_READ(peer, path.dentry)))
			return ROLE_CLIENT;
	} else if (family == AF_INET || family == AF_INET6) {
		if (is_watched_port(BPF_CORE_READ(sk, __sk_common.skc_num)))
			return ROLE_SERVER;
		if (is_watched_port(__builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport))))
			return ROLE_CLIENT;
	}
	return ROLE_NONE;
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
	a->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	a->remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
}

/* The other end's view of a TCP connection, as an IPv6 socket that takes IPv4
 * connections has it and as an IPv4 one has it, look the same here. */
static __always_inline void normalise(struct addresses *a, bool swap)
{
	struct addresses in = *a;

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

/* Processes. */

/* Appends a part of a path, and says whether there was room. */
static __always_inline bool put_name(struct peer_event *e, const void *name)
{
	__u32 at = e->p.text_len;
	long n;

	if (at > NAMES - NAME)
		return false;
	n = bpf_probe_read_kernel_str(e->text + at, NAME, name);
	if (n <= 0)
		return false;
	e->p.text_len = at + n;
	return true;
}

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *kn)
{
	struct kernfs_node___6_15 *newer = (void *)kn;

	if (bpf_core_field_exists(newer->__parent))
		return BPF_CORE_READ(newer, __parent);
	return BPF_CORE_READ(kn, parent);
}

static __always_inline struct kernfs_node *controller_node(struct css_set *set, __u32 id)
{
	struct cgroup_subsys_state **subsys, *css = NULL;

	subsys = (void *)__builtin_preserve_access_index(&set->subsys[0]);
	if (bpf_probe_read_kernel(&css, sizeof(css), subsys + id) || !css)
		return NULL;
	return BPF_CORE_READ(css, cgroup, kn);
}

/* The task's cgroup in the unified hierarchy or, if that is its root, in the
 * hierarchy of a controller that every container engine uses. */
static __always_inline struct kernfs_node *cgroup_node(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct kernfs_node *kn;

	if (!set)
		return NULL;
	kn = BPF_CORE_READ(set, dfl_cgrp, kn);
	if (kn && parent_of(kn))
		return kn;
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) {
		kn = controller_node(set, bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
		if (kn && parent_of(kn))
			return kn;
	}
	if (bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id))
		kn = controller_node(set, bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id));
	return kn;
}

static __always_inline void put_cgroup(struct peer_event *e, struct task_struct *task)
{
	struct kernfs_node *kn = cgroup_node(task), *parent;
	int i;

	for (i = 0; i < CGROUPS; i++) {
		parent = kn ? parent_of(kn) : NULL;
		if (!parent)
			return;
		if (!put_name(e, BPF_CORE_READ(kn, name)))
			break;
		kn = parent;
	}
	e->p.flags |= FLAG_CGROUP_CUT;
}

static __always_inline void put_exe(struct peer_event *e, struct file *exe)
{
	struct vfsmount *vfsmount = BPF_CORE_READ(exe, f_path.mnt);
	struct dentry *dentry = BPF_CORE_READ(exe, f_path.dentry);
	struct dentry *root = BPF_CORE_READ(vfsmount, mnt_root), *parent;
	struct mount *mount, *above;
	int i;

	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry || !BPF_CORE_READ(dentry, d_hash.pprev))
		e->p.flags |= FLAG_EXE_DELETED;
	mount = (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
	for (i = 0; i < DEPTH; i++) {
		if (dentry == root) {
			above = BPF_CORE_READ(mount, mnt_parent);
			if (above == mount)
				return;
			dentry = BPF_CORE_READ(mount, mnt_mountpoint);
			mount = above;
			root = BPF_CORE_READ(mount, mnt.mnt_root);
			continue;
		}
		if (!put_name(e, BPF_CORE_READ(dentry, d_name.name)))
			break;
		parent = BPF_CORE_READ(dentry, d_parent);
		/* A file without a place in the tree: a memfd. */
		if (parent == dentry)
			return;
		dentry = parent;
	}
	e->p.flags |= FLAG_EXE_CUT;
}

static __always_inline void fill_credentials(struct process *p, const struct cred *cred)
{
	p->uid = BPF_CORE_READ(cred, euid.val);
	p->gid = BPF_CORE_READ(cred, egid.val);
}

static __always_inline void fill_pid_namespace(struct process *p, struct pid *pid)
{
	struct upid numbers = {};
	__u32 level = BPF_CORE_READ(pid, level);
	void *first = (void *)pid + bpf_core_field_offset(struct pid, numbers);

	bpf_probe_read_kernel(&numbers, sizeof(numbers), first + level * sizeof(numbers));
	p->ns_pid = numbers.nr;
	p->pid_ns = BPF_CORE_READ(numbers.ns, ns.inum);
}

static __always_inline void put_args(struct peer_event *e, struct mm_struct *mm)
{
	__u64 start = BPF_CORE_READ(mm, arg_start);
	__u64 n = BPF_CORE_READ(mm, arg_end) - start;
	__u32 at = e->p.text_len;

	if (n > ARGS) {
		n = ARGS;
		e->p.flags |= FLAG_ARGS_CUT;
	}
	barrier_var(n);
	if (n > ARGS || at > NAMES)
		return;
	if (bpf_probe_read_user(e->text + at, n, (void *)start))
		return;
	e->p.args_len = n;
	e->p.text_len = at + n;
}

/* Fills in the process of the task and its text. Only the current process'
 * command line can be read. */
static __noinline int fill_process(struct peer_event *e, struct task_struct *task)
{
	struct process *p = &e->p;
	struct task_struct *leader = BPF_CORE_READ(task, group_leader);
	struct task_struct *parent = BPF_CORE_READ(leader, real_parent);
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	struct file *exe;

	p->start = BPF_CORE_READ(leader, start_boottime);
	p->pid = BPF_CORE_READ(task, tgid);
	p->tid = BPF_CORE_READ(task, pid);
	p->ppid = BPF_CORE_READ(parent, tgid);
	fill_credentials(p, BPF_CORE_READ(task, cred));
	if (bpf_core_field_exists(task->loginuid))
		p->loginuid = BPF_CORE_READ(task, loginuid.val);
	fill_pid_namespace(p, BPF_CORE_READ(leader, thread_pid));
	p->mnt_ns = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	BPF_CORE_READ_INTO(&p->comm, leader, comm);
	BPF_CORE_READ_INTO(&p->parent_comm, parent, group_leader, comm);

	put_cgroup(e, task);
	p->cgroup_len = p->text_len;
	if (!mm)
		return 0;
	exe = BPF_CORE_READ(mm, exe_file);
	if (exe)
		put_exe(e, exe);
	p->exe_len = p->text_len - p->cgroup_len;
	if ((void *)bpf_get_current_task() == task)
		put_args(e, mm);
	return 0;
}

static __always_inline void clear_process(struct process *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->loginuid = -1;
}

static __always_inline void emit_peer(struct peer_event *e)
{
	__u32 n = e->p.text_len;

	if (n <= sizeof(e->text))
		emit(e, sizeof(*e) - sizeof(e->text) + n);
}

/* Clients. */

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
			for (j = 0; j < PASSED; j++) {
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

/* Servers. */

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
 * it connected is there even if no CONNECT told of it: an older connection, one
 * made through io_uring. */
static __noinline int take(struct sock *sk, __u32 fd, __u32 flags)
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
	/* No processor accepts two connections within 256 ns. */
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
		fill_credentials(&e->p, BPF_CORE_READ(sk, sk_peer_cred));
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
	return take(sk, ret, 0);
}

static __always_inline struct conn *conn_of(struct sock *sk, __u32 fd)
{
	__u64 key = (__u64)sk;
	struct conn *conn = bpf_map_lookup_elem(&conns, &key);

	if (conn)
		return conn;
	take(sk, fd, FLAG_ADOPTED);
	return bpf_map_lookup_elem(&conns, &key);
}

static __always_inline enum mode mode_of(struct conn *conn)
{
	__u64 id = conn->id;
	enum mode *mode;

	if (conn->own)
		return MODE_IGNORE;
	mode = bpf_map_lookup_elem(&modes, &id);
	return mode ? *mode : MODE_ALL;
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

/* A system call that moved bytes. */
struct call {
	__u32 op;
	__u32 fd;
	__u64 arg1, arg2;
	__u64 flags;
	long ret;
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
	enum mode ignore = MODE_IGNORE;
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
	emit(d, sizeof(*d) - PIECE + n);
	/* 101 Switching Protocols: what follows is no HTTP. */
	if (d->bytes[9] == '1' && d->bytes[10] == '0' && d->bytes[11] == '1') {
		id = conn->id;
		bpf_map_update_elem(&modes, &id, &ignore, BPF_ANY);
	}
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

#if defined(__TARGET_ARCH_x86)
/* A 32-bit process' connect. The rest of what it does is seen at the server. */
static __always_inline int on_ia32(struct pt_regs *regs, long ret)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 fd = regs->bx;

	if (!(BPF_CORE_READ(task, thread_info.status) & TS_COMPAT))
		return 0;
	if (SYSCALL_NR(regs) == 102) {
		if (fd != 3 /* SYS_CONNECT */ ||
		    bpf_probe_read_user(&fd, sizeof(fd), (void *)(regs->cx & 0xffffffffUL)))
			return 0;
	}
	return on_connect(fd, ret);
}
#endif

static __always_inline int on_receive(const struct call *c)
{
	struct sock *sk;

	if (c->ret <= 0 || c->flags & MSG_PEEK)
		return 0;
	sk = sock_of(c->fd);
	if (role_of(sk) != ROLE_SERVER)
		return 0;
	return on_request(sk, c);
}

static __always_inline int on_send(const struct call *c)
{
	struct sock *sk;

	if (c->ret <= 0)
		return 0;
	sk = sock_of(c->fd);
	switch (role_of(sk)) {
	case ROLE_CLIENT:
		return on_client_send(sk);
	case ROLE_SERVER:
		return on_response(sk, c);
	}
	return 0;
}

/* The verifier lets pointers become a number by their difference only. */
static __always_inline __u64 thread_of(struct pt_regs *regs)
{
	return (__u64)regs - (__u64)marks;
}

static __always_inline __u64 *stranger(__u64 thread)
{
	__u32 slot = thread >> STACK_SHIFT & (STRANGERS - 1);

	return bpf_map_lookup_elem(&strangers, &slot);
}

static __noinline int on_exit(__u64 *ctx, __u32 op)
{
	struct pt_regs *regs = (void *)ctx[0];
	__u64 thread = thread_of(regs);
	__u64 made = *(volatile __u64 *)&salt;
	enum mark mark = *(volatile enum mark *)&marks[bpf_get_current_pid_tgid() >> 32 & (PIDS - 1)];
	struct call c = {};
	__u64 *entry;

	if (mark != MARK_WATCHED && !(op & OP_OF_ANYONE)) {
		entry = stranger(thread);
		if (entry)
			*entry = thread + made;
		return 0;
	}
	c.op = op & ~OP_OF_ANYONE;
	/* The plugin's own connections are noted, so as to leave them out. */
	if (mark == MARK_OWN && c.op != OP_CONNECT)
		return 0;
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
		return c.ret >= 0 ? on_descriptor(c.ret) : 0;
	case OP_RECVMSG:
		if (mark == MARK_NONE)
			return c.ret >= 0 ? on_control(c.arg1) : 0;
		c.flags = c.arg2;
		return on_receive(&c);
	case OP_RECVMMSG:
		return mark == MARK_NONE && c.ret > 0 ? on_control(c.arg1) : 0;
	case OP_RECVFROM:
		c.flags = ARG3(regs);
		return on_receive(&c);
	case OP_READ:
	case OP_READV:
		return on_receive(&c);
	case OP_SPLICE:
		/* Either end: what a server takes out is counted, not seen. */
		on_receive(&c);
		c.fd = c.arg2;
		return on_send(&c);
	case OP_WRITE:
	case OP_WRITEV:
	case OP_SENDMSG:
	case OP_SENDMMSG:
	case OP_SENDFILE:
		return on_send(&c);
	case OP_CLOSE:
		return on_close(c.fd);
#if defined(__TARGET_ARCH_x86)
	case OP_IA32:
		return on_ia32(regs, c.ret);
#endif
	}
	return 0;
}

SEC("tp_btf/sys_exit")
int tap_sys_exit(__u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	__u64 nr = SYSCALL_NR(regs), thread, *entry;
	__u32 op;

	if (nr >= SYSCALLS)
		return 0;
	op = ops[nr];
	if (!op)
		return 0;
	if (!(op & OP_OF_ANYONE)) {
		thread = thread_of(regs);
		entry = stranger(thread);
		if (entry && *entry == thread + salt)
			return 0;
	}
	return on_exit(ctx, op);
}

SEC("tp_btf/sched_process_fork")
int tap_fork(__u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];

	if (mark_of(parent->tgid) != MARK_WATCHED)
		return 0;
	watch(child->tgid);
	forget_strangers();
	return 0;
}

/* Takes the mark from a program that inherited no watched socket: everything
 * that dockerd starts would have it else. */
SEC("tp_btf/sched_process_exec")
int tap_exec(__u64 *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct fdtable *fdt;
	unsigned long *open, word;
	__u32 i;

	if (mark_of(tgid) != MARK_WATCHED)
		return 0;
	fdt = BPF_CORE_READ(task, files, fdt);
	open = BPF_CORE_READ(fdt, open_fds);
	for (i = 0; i < SCANNED; i++) {
		if (i >= BPF_CORE_READ(fdt, max_fds))
			break;
		if (role_of(sock_of(i)) != ROLE_NONE)
			return 0;
	}
	/* Descriptors too many to look at: better looked at in vain than not. */
	for (i = SCANNED; i < 4096; i += 64) {
		if (i >= BPF_CORE_READ(fdt, max_fds))
			break;
		if (bpf_probe_read_kernel(&word, sizeof(word), open + i / 64) || word)
			return 0;
	}
	marks[tgid & (PIDS - 1)] = MARK_NONE;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int tap_exit(__u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	__u32 tgid = task->tgid;
	struct header h;
	enum mark mark = mark_of(tgid);

	if (mark == MARK_NONE || BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	marks[tgid & (PIDS - 1)] = MARK_NONE;
	if (mark != MARK_WATCHED)
		return 0;
	fill_header(&h, KIND_EXIT, 0, NULL);
	emit(&h, sizeof(h));
	return 0;
}

/* Read once for every change of the watched sockets: marks the processes that
 * hold one already, and the reader as the plugin itself, by its pid in the
 * kernel's own namespace. */
SEC("iter/task_file")
int tap_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	marks[(bpf_get_current_pid_tgid() >> 32) & (PIDS - 1)] = MARK_OWN;
	if (!task || !file || role_of(sock_of_file(file)) == ROLE_NONE)
		return 0;
	watch(task->tgid);
	return 0;
}
