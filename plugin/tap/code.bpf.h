// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* Whether a process runs the code of its executable and nothing else: what it
 * began with, and who could change that since. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "mark.bpf.h"
#include "record.bpf.h"
#include "state.bpf.h"

#define VARIABLES 256 /* pieces of an environment that are looked at */
#define PIDS_A_PAGE 65536

#define PTRACE_TRACEME 0
#define PR_SET_MM 35
#define PR_SET_MM_EXE_FILE 13
#define PR_SET_MM_MAP 14

/* Every process' enum code by its pid. No process can take the place of another,
 * so that nobody can have what is known of him forgotten. */
struct codes {
	__u8 of[PIDS_A_PAGE];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PIDS / PIDS_A_PAGE);
	__type(key, __u32);
	__type(value, struct codes);
} processes SEC(".maps");

/* What was done last to the memory of a process. While it executes a program, its
 * memory is that program's already before the end of it is told of. */
struct tampered {
	__u64 mm;
	__u64 what;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct tampered);
} tampered SEC(".maps");

static __always_inline __u8 *code_of(__u32 tgid)
{
	__u32 page = tgid / PIDS_A_PAGE & (PIDS / PIDS_A_PAGE - 1);
	struct codes *codes = bpf_map_lookup_elem(&processes, &page);

	return codes ? &codes->of[tgid & (PIDS_A_PAGE - 1)] : NULL;
}

/* A client that what is noted of is reported again when it sends. */
static __always_inline void note(__u32 tgid, __u8 what)
{
	__u8 *code = code_of(tgid);

	if (!code || (*code & what) == what)
		return;
	*code |= what;
	if (mark_of(tgid) == MARK_CLIENT)
		watch(tgid, MARK_SHARER);
}

/* LD_PRELOAD, LD_AUDIT, LD_LIBRARY_PATH and the others of ld.so(8), and the one
 * of iconv(3) by which libc loads a file. */
static __always_inline bool loads(const char *variable)
{
	return (variable[0] == 'L' && variable[1] == 'D' && variable[2] == '_') ||
	       (variable[0] == 'G' && variable[1] == 'C' && variable[2] == 'O' && variable[3] == 'N' && variable[4] == 'V' &&
		variable[5] == '_');
}

/* Says what the environment of the current process makes it load. Nothing else
 * of it is looked at, and nothing of it is kept. Like the others here that are not
 * static, it is verified once, and not once for each call. */
__noinline int code_of_environment(__u64 address)
{
	struct mm_struct *mm = (void *)address;
	struct scratch *s = scratch();
	__u64 at = BPF_CORE_READ(mm, env_start), end = BPF_CORE_READ(mm, env_end);
	bool begins = true;
	char *variable;
	long n;
	int i;

	if (!s)
		return CODE_UNREAD;
	variable = (char *)s->peer.text;
	for (i = 0; i < VARIABLES; i++) {
		if (at >= end)
			return 0;
		n = bpf_probe_read_user_str(variable, NAMES, (void *)at);
		if (n <= 0)
			return CODE_UNREAD;
		if (begins && loads(variable))
			return CODE_PRELOADED;
		/* What is longer goes on where it was cut. */
		begins = n < NAMES;
		at += begins ? n : n - 1;
	}
	return CODE_UNREAD;
}

static __always_inline void note_exec(struct task_struct *task, __u32 tgid)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u8 *code = code_of(tgid), known = CODE_KNOWN;
	struct tampered *last;

	if (!code || !mm)
		return;
	if (BPF_CORE_READ(task, ptrace))
		known |= CODE_TRACED;
	/* A program that is not root's is on no list. */
	if (!BPF_CORE_READ(mm, exe_file, f_inode, i_uid.val))
		known |= code_of_environment((__u64)mm);
	*code = known;
	/* Last, as it can be done meanwhile: it is written there before it is noted. */
	last = bpf_map_lookup_elem(&tampered, &tgid);
	if (last && last->mm == (__u64)mm)
		*code |= last->what;
}

/* A child has its parent's memory, and all that was done to it. */
static __always_inline void note_fork(__u32 parent, __u32 child)
{
	__u8 *from = code_of(parent), *to = code_of(child);

	if (parent != child && from && to)
		*to = *from;
}

/* Another process can have changed the memory of the task, and so of whoever
 * shares it: a child between vfork and exec has its parent's. */
static __always_inline void note_tampered(struct task_struct *task, __u8 what)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);
	struct tampered last = {.mm = (__u64)BPF_CORE_READ(task, mm), .what = what};
	__u32 tgid = BPF_CORE_READ(task, tgid);
	struct tampered *before = bpf_map_lookup_elem(&tampered, &tgid);

	if (before && before->mm == last.mm)
		last.what |= before->what;
	bpf_map_update_elem(&tampered, &tgid, &last, BPF_ANY);
	note(tgid, what);
	if (BPF_CORE_READ(task, mm) == BPF_CORE_READ(parent, mm))
		note(BPF_CORE_READ(parent, tgid), what);
}

/* The task that the pid is of, a thread's as well. */
static __always_inline struct task_struct *task_of(struct pid *pid)
{
	struct hlist_node *node = NULL;

	if (!pid)
		return NULL;
	bpf_core_read(&node, sizeof(node), &pid->tasks[PIDTYPE_PID].first);
	if (!node)
		return NULL;
	return (void *)node - bpf_core_field_offset(struct task_struct, pid_links);
}

/* Finds who the current process means by a pid: find_pid_ns in kernel/pid.c and
 * xas_load in lib/xarray.c. */
static __noinline struct pid *find_pid(__u32 nr)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	struct pid *self = BPF_CORE_READ(current, thread_pid);
	__u32 level = BPF_CORE_READ(self, level), shift;
	void *first = (void *)self + bpf_core_field_offset(struct pid, numbers);
	struct upid innermost = {};
	struct xa_node *node;
	void *entry, **slots;
	int i;

	bpf_probe_read_kernel(&innermost, sizeof(innermost), first + level * sizeof(innermost));
	entry = BPF_CORE_READ(innermost.ns, idr.idr_rt.xa_head);
	for (i = 0; i < 6; i++) {
		/* xa_is_node of include/linux/xarray.h */
		if (((__u64)entry & 3) != 2 || (__u64)entry <= 4096)
			break;
		node = entry - 2;
		shift = BPF_CORE_READ(node, shift);
		if (shift > 30)
			return NULL;
		slots = (void *)node + bpf_core_field_offset(struct xa_node, slots);
		if (bpf_probe_read_kernel(&entry, sizeof(entry), &slots[nr >> shift & 63]))
			return NULL;
		if (!shift)
			break;
	}
	return (__u64)entry & 3 ? NULL : entry;
}

__noinline int on_ptrace(__u64 request, __u32 nr, long ret)
{
	struct task_struct *task;

	if (ret < 0)
		return 0;
	if (request == PTRACE_TRACEME)
		task = (void *)bpf_get_current_task();
	else
		task = task_of(find_pid(nr));
	if (task)
		note_tampered(task, CODE_TRACED);
	return 0;
}

__noinline int on_vm_write(__u32 nr, long ret)
{
	struct task_struct *task = task_of(find_pid(nr));

	if (ret > 0 && task)
		note_tampered(task, CODE_WRITTEN);
	return 0;
}

static __always_inline int on_prctl(__u64 option, __u64 what, long ret)
{
	if (!ret && option == PR_SET_MM && (what == PR_SET_MM_EXE_FILE || what == PR_SET_MM_MAP))
		note(bpf_get_current_pid_tgid() >> 32, CODE_RENAMED);
	return 0;
}

/* Whether a file is root's alone to make: as for the bit that would run it with
 * root's rights, its owner counts where only root can have mounted it. */
static __always_inline bool is_of_root(struct file *file)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	return !BPF_CORE_READ(inode, i_uid.val) && !(BPF_CORE_READ(inode, i_mode) & S_IWOTH) &&
	       !(BPF_CORE_READ(file, f_path.mnt, mnt_flags) & MNT_NOSUID) && !BPF_CORE_READ(inode, i_sb, s_user_ns, level);
}

/* The current process mapped code: a loader does so, whatever made it, also
 * where another process opened the file for it. */
__noinline int on_map(__u64 mapped)
{
	struct file *file = (void *)mapped;

	if (file && !is_of_root(file))
		note(bpf_get_current_pid_tgid() >> 32, CODE_LOADED);
	return 0;
}

/* Who opens another's /proc/PID/mem to write can do so at any time. */
__noinline int on_open(__u64 opened)
{
	struct file *file = (void *)opened;
	struct inode *inode;
	struct task_struct *task;
	char name[4] = {};

	if (!file || !(BPF_CORE_READ(file, f_mode) & FMODE_WRITE))
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	if (BPF_CORE_READ(inode, i_sb, s_magic) != PROC_SUPER_MAGIC)
		return 0;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(file, f_path.dentry, d_name.name));
	if (name[0] != 'm' || name[1] != 'e' || name[2] != 'm')
		return 0;
	task = task_of(BPF_CORE_READ((struct proc_inode *)((void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode)), pid));
	if (task && BPF_CORE_READ(task, tgid) != bpf_get_current_pid_tgid() >> 32)
		note_tampered(task, CODE_WRITTEN);
	return 0;
}
