// SPDX-License-Identifier: Apache-2.0

package hostaccess

import (
	"slices"
	"strings"
	"testing"
)

func TestPath(t *testing.T) {
	for source, want := range map[string]string{
		"/var/run/docker.sock":                  dockerSocket,
		"/run/docker.sock":                      dockerSocket,
		"/var/run//../run/docker.sock/":         dockerSocket,
		"/run/user/1000/podman/podman.sock":     dockerSocket,
		"/home/ann/.docker/desktop/docker.sock": dockerSocket + " " + credentials,
		"/srv/links/docker.sock":                dockerSocket,
		"/run/podman":                           dockerSocket,
		"/run":                                  dockerSocket + " " + runtimeSocket + " " + credentials + " " + systemBus,
		"/var/run/":                             dockerSocket + " " + runtimeSocket + " " + credentials + " " + systemBus,
		"/run/containerd":                       runtimeSocket,
		"/run/containerd/containerd.sock":       runtimeSocket,
		"/run/k3s/containerd/containerd.sock":   runtimeSocket,
		"/run/k3s":                              runtimeSocket,
		"/var/run/crio/crio.sock":               runtimeSocket,
		"/run/docker":                           runtimeSocket,
		"/var/run/dbus/system_bus_socket":       systemBus,
		"/run/dbus":                             systemBus,
		"/run/systemd":                          credentials + " " + systemBus,

		"/":                   hostRoot,
		"//":                  hostRoot,
		"/home/..":            hostRoot,
		"/proc":               hostProc,
		"/proc/1/environ":     hostProc,
		"/proc/1/root":        hostRoot + " " + hostProc,
		"/proc/self/root/etc": hostProc + " " + credentials,
		"/proc/1/cwd/etc":     hostProc + " " + credentials,

		"/etc":                           credentials,
		"/etc/ssl":                       credentials,
		"/etc/ssl/private":               credentials,
		"/etc/letsencrypt":               credentials,
		"/etc/letsencrypt/live/a":        credentials,
		"/etc/wireguard":                 credentials,
		"/etc/cron.d":                    credentials,
		"/etc/systemd/system":            credentials,
		"/run/credentials/x.service":     credentials,
		"/etc/sudoers.d":                 credentials,
		"/etc/shadow":                    credentials,
		"/etc/ssh":                       credentials,
		"/etc/docker/key.json":           credentials,
		"/etc/kubernetes/admin.conf":     credentials,
		"/root":                          credentials,
		"/root/.ssh":                     credentials,
		"/root/.kube/config":             credentials,
		"/home":                          credentials,
		"/home/ann":                      credentials,
		"/home/ann/":                     credentials,
		"/var/home/ann/.aws/credentials": credentials,
		"/home/ann/.ssh/id_ed25519":      credentials,
		"/home/ann/.config":              credentials,
		"/home/ann/.config/gcloud":       credentials,
		"/home/ann/.docker/config.json":  credentials,
		"/var":                           credentials,
		"/var/lib":                       credentials,
		"/var/lib/kubelet/pods":          credentials,
		"/var/lib/docker":                credentials,
		"/var/lib/docker/containers":     credentials,
		"/var/lib/etcd":                  credentials,

		"/srv/ci/kubeconfig":                        credentials,
		"/srv/ci/prod.kubeconfig":                   credentials,
		"/srv/application_default_credentials.json": credentials,
		"/vault/secrets/db":                         credentials,

		"/dev":               hostDevices,
		"/dev/sda1":          hostDevices,
		"/dev/nvme0n1":       hostDevices,
		"/dev/disk/by-id/x":  hostDevices,
		"/dev/mapper/vg-all": hostDevices,
		"/dev/loop7p1":       hostDevices,
		"/dev/sg0":           hostDevices,
		"/dev/sgx_enclave":   "",
		"/dev/loop-control":  "",

		// What benign compose files mount.
		"/home/ann/src/app":           "",
		"/home/ann/src/app/data":      "",
		"/home/ann/src/app/.env":      "",
		"/home/ann/.config/app":       "",
		"/home/ann/.cache":            "",
		"/home/ann/.m2":               "",
		"/home/ann/.ssh/known_hosts":  "",
		"/home/ann/.ssh/id_rsa.pub":   "",
		"/root/app":                   "",
		"/srv/app/config":             "",
		"/srv/app/etc/shadow":         "",
		"/opt/data/proc":              "",
		"/host":                       "",
		"/data":                       "",
		"/etc/localtime":              "",
		"/etc/timezone":               "",
		"/etc/hosts":                  "",
		"/etc/passwd":                 "",
		"/etc/ssl/certs":              "",
		"/etc/nginx/nginx.conf":       "",
		"/etc/resolv.conf":            "",
		"/etc/dockerish":              "",
		"/sys":                        "",
		"/sys/fs/cgroup":              "",
		"/sys/kernel/debug":           "",
		"/dev/shm":                    "",
		"/dev/null":                   "",
		"/dev/dri":                    "",
		"/dev/snd":                    "",
		"/dev/disk":                   "",
		"/dev/log":                    "",
		"/var/log":                    "",
		"/run/systemd/journal/socket": "",
		"/run/user/1000/pulse/native": "",
		"/tmp/.X11-unix":              "",
		"/lib/modules":                "",
		"/usr/share/ca-certificates":  "",
		"/var/lib/postgresql/data":    "",
		"/var/www":                    "",
		"/mnt/media":                  "",
		"/homes/ann":                  "",
		"/rooted":                     "",
	} {
		got := (&Request{Paths: []string{source}}).Exposes()
		if strings.Join(got, " ") != want {
			t.Errorf("a mount of %s exposes %q, want %q", source, got, want)
		}
	}
}

func TestSources(t *testing.T) {
	r := Request{
		Paths:   []string{"/etc/", "/srv/link", "/usr/share", "/var/run/docker.sock"},
		Devices: []string{"/dev/sda", "/dev/null"},
		Found:   []File{{Path: "/home/ann/.ssh"}, {Path: "/usr/share"}, {Path: "/srv/node", Disk: true}, {Path: "/etc"}},
	}
	want := []string{"/dev/sda", "/etc", "/home/ann/.ssh", "/run/docker.sock", "/srv/node"}
	if got := r.Sources(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExposes(t *testing.T) {
	for _, test := range []struct {
		asked Request
		want  string
	}{
		{Request{}, ""},
		{Request{Privileged: true}, privileged},
		{Request{PIDMode: "host"}, hostPID},
		{Request{PIDMode: "container:web"}, containerPID},
		{Request{PIDMode: "container:web", Siblings: true}, sibling},
		{Request{IPCMode: "container:web", NetworkMode: "container:web", VolumesFrom: []string{"web"}}, containerVolumes + " " + containerIPC + " " + containerNetwork},
		{Request{IPCMode: "host", NetworkMode: "host", UserMode: "host"}, hostIPC + " " + hostUser + " " + hostNetwork},
		{Request{IPCMode: "private", NetworkMode: "bridge", UserMode: ""}, ""},
		{Request{SecurityOptions: []string{"no-new-privileges", "label=user:x", "seccomp=builtin", "seccomp=/profile.json",
			`seccomp={"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW"}]}`}}, ""},
		{Request{SecurityOptions: []string{"seccomp={}"}}, unconfined},
		{Request{SecurityOptions: []string{`seccomp:{"syscalls":[],"defaultAction":"SCMP_ACT_ALLOW"}`}}, unconfined},
		{Request{SecurityOptions: []string{`seccomp={"DEFAULTACTION":"SCMP_ACT_LOG","syscalls":[{"names":["ptrace"],"action":"SCMP_ACT_KILL"}]}`}}, unconfined},
		{Request{SecurityOptions: []string{"seccomp=unconfined"}}, unconfined},
		{Request{SecurityOptions: []string{"apparmor:unconfined"}}, unconfined},
		{Request{SecurityOptions: []string{"label=disable"}, PIDMode: "host"}, hostPID},
		{Request{Unmasked: true}, unconfined},
		{Request{Unmasked: true, Privileged: true}, privileged},
		{Request{Capabilities: []string{"SYS_RAWIO"}}, capabilities},
		{Request{DeviceRules: []string{"c 1:1 r"}}, hostDevices},
		{Request{DeviceRules: []string{"c 1:3 r", "c 10:200 rwm"}}, ""},
		{Request{DeviceRules: []string{"c *:* rwm"}}, hostDevices},
		{Request{Found: []File{{Path: "/etc"}, {Path: "/srv/node", Disk: true}, {Path: "/srv/socket", Engine: true}}}, dockerSocket + " " + credentials + " " + hostDevices},
		{Request{Paths: []string{"/srv/docker/volumes/a/_data"}, Data: []string{"/srv/docker"}}, credentials},
		{Request{Paths: []string{"/srv"}, Data: []string{"/srv/docker"}}, credentials},
		{Request{Paths: []string{"/srv/docker-cache"}, Data: []string{"/srv/docker"}}, ""},
		{Request{Paths: []string{"/srv/engines"}, Sockets: []string{"/srv/engines/one/api"}}, dockerSocket},
		{Request{Capabilities: []string{"NET_ADMIN", "CHOWN"}}, ""},
		{Request{Capabilities: []string{"NET_ADMIN", "cap_sys_admin"}}, capabilities},
		{Request{Capabilities: []string{"all"}}, capabilities},
		{Request{Capabilities: []string{"CAP_DAC_READ_SEARCH"}}, capabilities},
		{Request{Devices: []string{"/dev/dri/card0", "/dev/net/tun", "/dev/ttyUSB0", "/dev/kvm", "/dev/fuse", "/dev/snd", "nvidia.com/gpu=0"}}, ""},
		{Request{Devices: []string{"/dev/dri/card0", "/dev/vda1"}}, hostDevices},
		{Request{Devices: []string{"/dev/../dev/mem"}}, hostDevices},
		{Request{Devices: []string{"/dev/"}}, hostDevices},
		{Request{DeviceRules: []string{"c 188:* rwm"}}, ""},
		{Request{DeviceRules: []string{"c 188:* rwm", "b 8:0 r"}}, hostDevices},
		{Request{DeviceRules: []string{"a *:* rwm"}}, hostDevices},
		{Request{Privileged: true, PIDMode: "host", Capabilities: []string{"ALL"}, Devices: []string{"/dev/sda"},
			Paths: []string{"/srv", "/root/.ssh", "/proc", "/", "/var/run/docker.sock", "/run/crio/crio.sock"}},
			"docker_socket runtime_socket host_root proc credentials devices privileged host_pid capabilities"},
	} {
		if got := strings.Join(test.asked.Exposes(), " "); got != test.want {
			t.Errorf("%+v exposes %q, want %q", test.asked, got, test.want)
		}
	}
}

// A volume is what mount(2) makes of its options, however they are spelled.
func TestVolume(t *testing.T) {
	for _, test := range []struct{ fsType, device, o, want string }{
		{"none", "/", "bind", hostRoot},
		{"none", "/etc", "ro,rbind", credentials},
		{"none", "etc/../root", "bind", credentials},
		{"none", "/srv/data", "bind", ""},
		{"overlay", "overlay", "lowerdir=/srv:/etc,upperdir=/u,workdir=/w", credentials},
		{"overlay", "x", "lowerdir=/srv::/etc", credentials},
		{"overlay", "x", "lowerdir+=/srv,lowerdir+=etc", credentials},
		{"overlay", "x", "lowerdir=/srv,upperdir=/root/.ssh,workdir=/w", credentials},
		{"ext4", "/dev/vda1", "", hostDevices},
		{"ext4", "dev/disk/by-uuid/1", "ro", hostDevices},
		{"xfs", "/srv/my-disk", "", hostDevices},
		{"zfs", "tank/data", "", hostDevices},
		{"", "/dev/sda1", "", hostDevices},
		{"proc", "proc", "", hostProc},
		{"proc", "anything", "ro", hostProc},
		{"devtmpfs", "none", "", hostDevices},
		{"tmpfs", "tmpfs", "size=100m", ""},
		{"", "", "", ""},
		{"nfs", ":/export", "addr=10.0.0.1,rw", ""},
		{"nfs4", ":/etc", "addr=127.0.0.1", credentials},
		{"nfs", "localhost:/root", "nolock", credentials},
		{"nfs", "[::1]:/root", "nolock", credentials},
		{"cifs", "//server/share", "password=x", ""},
		{"", "//server/share", "password=x", ""},
	} {
		var v Volume
		v.SetOption("o", test.o)
		v.SetOption("device", test.device)
		v.SetOption("type", test.fsType)
		got := (&Request{Volumes: []Volume{v}}).Exposes()
		if strings.Join(got, " ") != test.want {
			t.Errorf("a volume of type=%s device=%s o=%s exposes %q, want %q", test.fsType, test.device, test.o, got, test.want)
		}
	}
}

// FuzzExposes looks for spellings of a path that hide what it is.
func FuzzExposes(f *testing.F) {
	for _, p := range []string{"/", "/var/run/docker.sock", "/proc/1/root/etc", "/home/ann/.ssh", "/dev/sda", "/proc/self/root/proc/self/root"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		p = "/" + p
		want := (&Request{Paths: []string{p}}).Exposes()
		for _, other := range []string{"/" + p, p + "/", p + "/.", "/.." + p, "/x/.." + p} {
			if got := (&Request{Paths: []string{other}}).Exposes(); !slices.Equal(got, want) {
				t.Errorf("%q exposes %q, %q exposes %q", p, want, other, got)
			}
		}
	})
}
