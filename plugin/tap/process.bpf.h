// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0

/* Processes: who a client is. */

#pragma once

#include "kernel.bpf.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include "code.bpf.h"
#include "record.bpf.h"
#include "ring.bpf.h"
#include "state.bpf.h"

#define NAME 256   /* one part of a path, with its NUL */
#define CGROUPS 16 /* most parts of a cgroup's path */
#define DEPTH 48   /* most parts and mount points of an executable's path */

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
	struct inode *inode;
	int i;

	parent = BPF_CORE_READ(dentry, d_parent);
	if (parent == dentry || !BPF_CORE_READ(dentry, d_hash.pprev))
		e->p.flags |= FLAG_EXE_DELETED;
	inode = BPF_CORE_READ(exe, f_inode);
	e->p.exe_ino = BPF_CORE_READ(inode, i_ino);
	e->p.exe_dev = BPF_CORE_READ(inode, i_sb, s_dev);
	e->p.exe_generation = BPF_CORE_READ(inode, i_generation);
	e->p.exe_uid = BPF_CORE_READ(inode, i_uid.val);
	e->p.exe_mode = BPF_CORE_READ(inode, i_mode);
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

/* The inode of the pid namespace that the process of the pid runs in. */
static __always_inline __u32 pid_namespace_of(struct pid *pid)
{
	struct upid innermost = {};
	__u32 level = BPF_CORE_READ(pid, level);
	void *first = (void *)pid + bpf_core_field_offset(struct pid, numbers);

	bpf_probe_read_kernel(&innermost, sizeof(innermost), first + level * sizeof(innermost));
	return BPF_CORE_READ(innermost.ns, ns.inum);
}

static __always_inline void put_args(struct peer_event *e, struct mm_struct *mm)
{
	__u64 start = BPF_CORE_READ(mm, arg_start);
	__u64 n = BPF_CORE_READ(mm, arg_end) - start;
	__u32 at = e->p.text_len;

	if (n > ARGS)
		n = ARGS;
	barrier_var(n);
	if (n > ARGS || at > NAMES)
		return;
	if (bpf_probe_read_user(e->text + at, n, (void *)start))
		return;
	e->p.args_len = n;
	e->p.text_len = at + n;
}

/* What the process may write beside what is its user's. */
static __always_inline void put_groups(struct process *p, const struct cred *cred)
{
	struct group_info *groups = BPF_CORE_READ(cred, group_info);
	__u32 n = BPF_CORE_READ(groups, ngroups);

	p->gid = BPF_CORE_READ(cred, fsgid.val);
	if (n > GROUPS) {
		p->flags |= FLAG_GROUPS_CUT;
		n = GROUPS;
	}
	barrier_var(n);
	if (n > GROUPS || bpf_probe_read_kernel(p->groups, n * sizeof(p->groups[0]),
			(void *)groups + bpf_core_field_offset(struct group_info, gid)))
		return;
	p->group_count = n;
}

/* Who made the process' mounts, and with them what its loader finds. */
static __always_inline void put_namespaces(struct process *p, struct task_struct *task, struct task_struct *leader)
{
	struct mnt_namespace *mounts = BPF_CORE_READ(task, nsproxy, mnt_ns);
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	struct task_struct *init = BPF_CORE_READ(pid, numbers[0].ns, child_reaper);

	p->pid_ns = pid_namespace_of(pid);
	p->mnt_ns = BPF_CORE_READ(mounts, ns.inum);
	if (mounts == BPF_CORE_READ(init, nsproxy, mnt_ns))
		p->flags |= FLAG_HOST_MOUNTS;
	if (BPF_CORE_READ(mounts, user_ns, level) || BPF_CORE_READ(task, cred, user_ns, level))
		p->flags |= FLAG_USER_NAMESPACE;
}

/* What is known of the process' code. The environment of one that is older than
 * the tap is looked at now: it may have changed it by itself. */
static __always_inline void put_code(struct process *p, struct task_struct *task, struct task_struct *leader, struct mm_struct *mm)
{
	__u8 *code = code_of(p->pid);

	p->code = code ? *code : 0;
	if (BPF_CORE_READ(leader, ptrace) || BPF_CORE_READ(task, ptrace))
		p->code |= CODE_TRACED;
	if (p->code & CODE_KNOWN)
		return;
	if ((void *)bpf_get_current_task() != task)
		p->code |= CODE_UNREAD;
	else
		p->code |= code_of_environment((__u64)mm);
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
	p->ppid = BPF_CORE_READ(parent, tgid);
	p->uid = BPF_CORE_READ(task, cred, euid.val);
	if (bpf_core_field_exists(task->loginuid))
		p->loginuid = BPF_CORE_READ(task, loginuid.val);
	put_groups(p, BPF_CORE_READ(task, cred));
	put_namespaces(p, task, leader);
	BPF_CORE_READ_INTO(&p->comm, leader, comm);
	BPF_CORE_READ_INTO(&p->parent_comm, parent, group_leader, comm);

	if (mm)
		put_code(p, task, leader, mm);
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

static __always_inline __u64 share_of_address(const __u8 *ip)
{
	__u64 half[2];

	__builtin_memcpy(half, ip, sizeof(half));
	return (half[0] ^ half[1]) | SHARE_OF_ADDRESS;
}

/* Where there is no room for all that is known of a process, what is shortest
 * names it. */
static __always_inline bool emit_peer(struct peer_event *e, __u64 share, __u32 class)
{
	__u32 n = e->p.text_len;

	if (n > sizeof(e->text))
		return false;
	if (emit(e, sizeof(*e) - sizeof(e->text) + n, share, class))
		return true;
	if (!n)
		return false;
	e->p.text_len = e->p.cgroup_len = e->p.exe_len = e->p.args_len = 0;
	return emit(e, sizeof(*e) - sizeof(e->text), share, class);
}
