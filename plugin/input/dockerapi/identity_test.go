// SPDX-License-Identifier: Apache-2.0

package dockerapi

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containerapi/containerapi/internal/dockertest"
	"github.com/containerapi/containerapi/plugin/event"
	"github.com/containerapi/containerapi/plugin/identity"
	"github.com/containerapi/containerapi/plugin/meaning"
	"github.com/containerapi/containerapi/plugin/tap/taptest"
)

// nobody is a user without any right.
const nobody = "65534"

// open makes a directory that all may enter, with the socket of a server that all
// may use.
func open(t *testing.T) (dir, socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "identity")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s.sock")
	taptest.StartServer(t, "unix", socket)
	for path, mode := range map[string]os.FileMode{dir: 0o777, socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir, socket
}

// as runs a shell script as a user, in a directory and with a socket.
func as(t *testing.T, user, dir, socket, script string) {
	t.Helper()
	if out, err := shellOf(user, dir, socket, script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

func shellOf(user, dir, socket, script string) *exec.Cmd {
	cmd := exec.Command("setpriv", "--reuid="+user, "--regid="+user, "--clear-groups", "sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + dir, "SOCK=" + socket}
	return cmd
}

// python is the beginning of scripts that change another process.
const python = `/usr/bin/python3 -c '
import ctypes, os, signal, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
sock = os.environ["SOCK"]
curl = ["/usr/bin/curl", "-s", "-o", "/dev/null", "-m", "5", "--unix-socket", sock, "http://x/%NAME%"]
def check(ok):
    if not ok: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def stack(pid):
    for line in open("/proc/%d/maps" % pid):
        if "[stack]" in line:
            return int(line.split("-")[1].split(" ")[0], 16) - 4096
# It connects once the end of its input came.
def waiting(): return subprocess.Popen(curl + ["-K", "-"], stdin=subprocess.PIPE)
# It connected, and sends what it is given.
def sending(path):
    p = subprocess.Popen(curl[:-1] + ["-X", "POST", "-T", "-", "http://x/" + path], stdin=subprocess.PIPE)
    time.sleep(0.3)
    return p
end = b"0\r\n\r\nGET /%NAME% HTTP/1.1\r\nHost: x\r\n\r\n"
# The connection of a child, as a descriptor of this process.
def connection(p):
    pidfd = os.pidfd_open(p.pid)
    for n in range(3, 20):
        fd = libc.syscall(438, pidfd, n, 0)
        if fd < 0: continue
        try:
            if socket.socket(fileno=os.dup(fd)).getpeername() == sock: return fd
        except OSError: pass
        os.close(fd)
    raise OSError("no connection")
`

// supervised runs curl so that this process opens files for it: it is given a copy
// of one of its libraries.
const supervised = `
import fcntl, select, struct
there, here = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    check(libc.prctl(38, 1, 0, 0, 0) == 0)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *i) for i in
        [(0x20, 0, 0, 0), (0x15, 0, 1, 257), (6, 0, 0, 0x7fc00000), (6, 0, 0, 0x7fff0000)]))
    n = libc.syscall(317, 1, 8, struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
    check(n >= 0)
    os.write(there[1], bytes([n]))
    os.read(here[0], 1)
    os.execv(curl[0], curl)
listener = libc.syscall(438, os.pidfd_open(pid), os.read(there[0], 1)[0], 0)
check(listener >= 0)
os.write(here[1], b"x")
poll = select.poll()
poll.register(listener, select.POLLIN)
while not poll.poll(5000)[0][1] & select.POLLHUP:
    call = bytearray(80)
    fcntl.ioctl(listener, 0xc0502100, call)
    of, address = struct.unpack_from("=Q", call)[0], struct.unpack_from("=Q", call, 40)[0]
    with open("/proc/%d/mem" % pid, "rb", 0) as memory:
        memory.seek(address)
        path = memory.read(64).split(b"\0")[0].decode()
    answer = struct.pack("=QqiI", of, 0, 0, 1)
    if "libcurl.so" in path:
        open("libcurl", "wb").write(open(path, "rb").read())
        copy = os.open("libcurl", os.O_RDONLY)
        fd = libc.ioctl(listener, ctypes.c_ulong(0x40182103), struct.pack("=QIIII", of, 0, copy, 0, os.O_CLOEXEC))
        answer = struct.pack("=QqiI", of, fd, 0, 0)
    fcntl.ioctl(listener, 0xc0182101, answer)
os.wait()'`

// ring sends on a child's connection with io_uring, from a thread of the kernel.
const ring = `
import mmap, struct
p = sending("begun")
fd = connection(p)
params = ctypes.create_string_buffer(120)
ring = libc.syscall(425, 1, params)
check(ring >= 0)
tail, array = struct.unpack_from("II", params, 44)[0], struct.unpack_from("I", params, 64)[0]
queue = mmap.mmap(ring, array + 64, mmap.MAP_SHARED, offset=0)
entries = mmap.mmap(ring, 64, mmap.MAP_SHARED, offset=0x10000000)
data = ctypes.create_string_buffer(end)
entries[0:28] = struct.pack("=BBHiQQI", 26, 16, 0, fd, 0, ctypes.addressof(data), len(end))
queue[array:array + 4] = struct.pack("I", 0)
queue[tail:tail + 4] = struct.pack("I", 1)
check(libc.syscall(426, ring, 1, 1, 1, 0, 0) == 1)
time.sleep(0.5)
p.kill()'`

// submitted does so with the older asynchronous writes.
const submitted = `
import struct
p = sending("begun")
fd = connection(p)
context = ctypes.c_ulong()
check(libc.syscall(206, 1, ctypes.byref(context)) == 0)
data = ctypes.create_string_buffer(end)
block = ctypes.create_string_buffer(struct.pack("=QIiHhIQQqQII", 0, 0, 0, 1, 0, fd, ctypes.addressof(data), len(end), 0, 0, 0, 0))
check(libc.syscall(209, context, 1, ctypes.byref(ctypes.c_void_p(ctypes.addressof(block)))) == 1)
time.sleep(0.5)
p.kill()'`

// provider is a library that OpenSSL keeps once it is loaded.
const provider = "/usr/lib/x86_64-linux-gnu/ossl-modules/legacy.so"

// module makes OpenSSL load a library of the user's, or the one at a path.
func module(path string) string {
	return "cp " + provider + " own.so; printf '%s\n' openssl_conf=c [c] providers=p [p] m=m [m] module=" + path +
		" activate=1 >$PWD/%NAME%.cnf; OPENSSL_CONF=$PWD/%NAME%.cnf "
}

// A genuine program of root's is one only as long as nobody made it do something
// else: each of these takes an unprivileged user.
func TestPrograms(t *testing.T) {
	for _, path := range []string{provider, "/usr/bin/curl", "/usr/bin/docker", "/usr/bin/python3", "/usr/bin/unshare", "/usr/bin/setpriv"} {
		if _, err := os.Stat(path); err != nil {
			t.Skip(err)
		}
	}
	dir, socket := open(t)
	const request = `import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(os.environ["SOCK"])
s.send(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % sys.argv[1].encode())
s.recv(9)
`
	if err := os.WriteFile(filepath.Join(dir, "get.py"), []byte(request), 0o644); err != nil {
		t.Fatal(err)
	}
	mounted := filepath.Join(dir, "nosuid")
	taptest.Run(t, exec.Command("sh", "-c", "mkdir "+mounted+" && mount -t tmpfs -o nosuid tmpfs "+mounted+" && cp "+provider+" "+mounted))
	t.Cleanup(func() { taptest.Run(t, exec.Command("umount", mounted)) })
	r := start(t, Options{Socket: socket})
	const get = "/usr/bin/curl -s -o /dev/null -m 5 --unix-socket $SOCK http://x/%NAME%"
	for name, test := range map[string]struct {
		script string
		want   identity.Reason
	}{
		"plain":       {get, ""},
		"environment": {"A=LD_PRELOAD=x " + get, ""},
		"long":        {"A=$(head -c 100000 /dev/zero | tr '\\0' LD_) " + get, ""},
		"preload":     {"LD_PRELOAD=/lib/x86_64-linux-gnu/libm.so.6 " + get, identity.Environment},
		"last":        {"env $(seq -f V%g=x 400) LD_AUDIT=/nowhere.so " + get + " 2>/dev/null", identity.Environment},
		"many":        {"env $(seq -f V%g=x 1000) LD_LIBRARY_PATH=/tmp " + get, identity.Environment},
		"libraries":   {"LD_LIBRARY_PATH=/tmp " + get, identity.Environment},
		"static":      {"LD_PRELOAD=/x docker-static -H unix://$SOCK inspect %NAME% || true", ""},
		"copy":        {"cp /usr/bin/curl copy; " + strings.Replace(get, "/usr/bin/curl", "./copy", 1), identity.Owner},
		"bind":        {"cp /usr/bin/curl copy; unshare -Urm sh -c 'mount --bind copy /usr/bin/curl; " + get + "'", identity.Owner},
		"roots":       {"unshare -Urm sh -c 'mount --bind /usr/bin/python3 /usr/bin/curl; exec /usr/bin/curl get.py %NAME%'", identity.Namespace},
		"own mounts":  {"unshare -Urm sh -c 'mount -t tmpfs x /etc; " + get + "'", identity.Namespace},
		"own user":    {"unshare -Ur " + get, identity.Namespace},
		"strace":      {"strace -f -o /dev/null " + get, identity.Traced},
		"detached": {python + `
pid = os.fork()
if pid == 0:
    check(libc.ptrace(0, 0, 0, 0) == 0)
    os.execv(curl[0], curl)
os.waitpid(pid, 0)
check(libc.ptrace(17, pid, 0, 0) == 0)
os.waitpid(pid, 0)'`, identity.Traced},
		"seized": {python + `
p = waiting()
p.send_signal(signal.SIGSTOP)
check(libc.ptrace(0x4206, p.pid, 0, 0) == 0)
check(libc.ptrace(0x4207, p.pid, 0, 0) == 0)
os.waitpid(p.pid, 0)
check(libc.ptrace(17, p.pid, 0, 0) == 0)
p.send_signal(signal.SIGCONT)
p.communicate()'`, identity.Traced},
		"vm_writev": {python + `
class iovec(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
p = waiting()
p.send_signal(signal.SIGSTOP)
b = ctypes.create_string_buffer(1)
local, remote = iovec(ctypes.addressof(b), 1), iovec(stack(p.pid), 1)
check(libc.process_vm_readv(p.pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 1)
check(libc.process_vm_writev(p.pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0) == 1)
p.send_signal(signal.SIGCONT)
p.communicate()'`, identity.Memory},
		"proc mem": {python + `
p = waiting()
p.send_signal(signal.SIGSTOP)
open("/proc/%d/mem" % p.pid, "r+b", 0).close()
p.send_signal(signal.SIGCONT)
p.communicate()'`, identity.Memory},
		"proc task mem": {python + `
p = waiting()
p.send_signal(signal.SIGSTOP)
open("/proc/%d/task/%d/mem" % (p.pid, p.pid), "r+b", 0).close()
p.send_signal(signal.SIGCONT)
p.communicate()'`, identity.Memory},
		"read mem": {python + `
p = waiting()
p.send_signal(signal.SIGSTOP)
open("/proc/%d/mem" % p.pid, "rb", 0).close()
p.send_signal(signal.SIGCONT)
p.communicate()'`, ""},
		"own library":   {module("$PWD/own.so") + get, identity.Library},
		"root has it":   {module(provider) + get, ""},
		"nosuid mount":  {module("$PWD/nosuid/legacy.so") + get, identity.Library},
		"supervised":    {python + supervised, identity.Library},
		"asks io_uring": {python + ring, identity.Connection},
		"io_submit":     {python + submitted, identity.Connection},
		"sends later":   {python + `sending("%NAME%").communicate(b"x")'`, ""},
		"later mem": {python + `
p = sending("%NAME%")
open("/proc/%d/mem" % p.pid, "r+b", 0).close()
p.communicate(b"x")'`, identity.Memory},
		"relay":  {`printf 'GET /%NAME% HTTP/1.1\r\nHost: x\r\n\r\n' | timeout 3 docker -H unix://$SOCK --log-level info system dial-stdio >/dev/null || true`, identity.Relay},
		"hidden": {`printf 'GET /%NAME% HTTP/1.1\r\nHost: x\r\n\r\n' | timeout 3 docker $(yes -- -linfo | head -n 1000) -H unix://$SOCK system dial-stdio >/dev/null || true`, identity.Relay},
		"of mine": {python + `
s = socket.socket(socket.AF_UNIX); s.connect(sock)
subprocess.run(["printf", r"GET /%NAME% HTTP/1.1\r\nHost: x\r\n\r\n"], stdout=s.fileno(), executable="/usr/bin/printf")
s.recv(100)'`, identity.Connection},
		"of its": {`unshare -Ur true; ` + python + `
s = socket.socket(socket.AF_UNIX); s.connect(sock)
if os.fork() == 0:
    os.execv("/usr/bin/printf", ["printf", r"GET /one HTTP/1.1\r\nHost: x\r\n\r\n"]) if os.dup2(s.fileno(), 1) else None
os.wait()
s.recv(100); s.sendall(b"GET /%NAME% HTTP/1.1\r\nHost: x\r\n\r\n"); s.recv(100)'`, identity.Connection},
	} {
		t.Run(name, func(t *testing.T) {
			if (name == "supervised" || name == "io_submit") && runtime.GOARCH != "amd64" {
				t.Skip("system calls have other numbers here")
			}
			if strings.Contains(test.script, "strace") {
				taptest.Need(t, "strace")
			}
			path := strings.ReplaceAll(name, " ", "-")
			script := strings.ReplaceAll(test.script, "%NAME%", path)
			if strings.Contains(script, "docker-static") {
				if exec.Command("sh", "-c", "test -x /usr/local/bin/docker && ! ldd /usr/local/bin/docker").Run() != nil {
					t.Skip("there is no docker that is linked statically")
				}
				script = strings.ReplaceAll(script, "docker-static", "/usr/local/bin/docker")
			}
			as(t, nobody, dir, socket, script)
			e := r.event(t, name, func(e *event.Event) bool { return strings.Contains(e.Docker.Request.Path, path) })
			if c := &e.Docker.Client; c.UnverifiedReason != string(test.want) || c.Verified != (test.want == "") {
				t.Errorf("%s is verified: %t, %q, want %q", c.ExePath, c.Verified, c.UnverifiedReason, test.want)
			}
		})
	}
}

// What a program that is older than the tap loaded shows when it is first used.
func TestOlderPrograms(t *testing.T) {
	taptest.Need(t, "/usr/bin/curl", "mkfifo")
	if _, err := os.Stat(provider); err != nil {
		t.Skip(err)
	}
	dir, socket := open(t)
	for name, test := range map[string]struct {
		environment string
		want        identity.Reason
	}{
		"plain":  {"", ""},
		"loaded": {module("$PWD/own.so"), identity.Library},
	} {
		config := filepath.Join(dir, name)
		taptest.Run(t, exec.Command("mkfifo", "-m", "666", config))
		client := shellOf(nobody, dir, socket, strings.ReplaceAll(test.environment+"curl -s -K "+config, "%NAME%", name))
		body, err := client.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		r := start(t, Options{Socket: socket})
		// It is there still when its first request is answered.
		const both = "unix-socket=%s\nurl=http://x/%s\noutput=/dev/null\nnext\nunix-socket=%[1]s\nurl=http://x/held\noutput=/dev/null\nupload-file=-\n"
		if err := os.WriteFile(config, fmt.Appendf(nil, both, socket, name), 0); err != nil {
			t.Fatal(err)
		}
		e := r.event(t, name, func(e *event.Event) bool { return strings.Contains(e.Docker.Request.Path, name) })
		if c := &e.Docker.Client; c.UnverifiedReason != string(test.want) {
			t.Errorf("%s is verified: %t, %q, want %q", name, c.Verified, c.UnverifiedReason, test.want)
		}
		body.Close()
		if err := client.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// A process is of a container if the engine says so and they share namespaces; an
// image is of a repository if the engine has it from there. Names prove nothing.
func TestDaemonContainers(t *testing.T) {
	taptest.Need(t, "curl", "unshare")
	d := dockertest.Start(t)
	r := startBoth(t, d)
	repository := d.Registry(t) + "/agent"
	d.Docker("pull", repository+":v1")
	// The same image would have the same id.
	d.Docker("build", "--tag="+repository+":v2", buildOf(t, dockertest.Image))
	run := func(name, image string, options ...string) {
		d.Docker(append(append([]string{"run", "--detach", "--init=false", "--stop-timeout=0", "--network=none", "--name=" + name, "--volume=/:/host"},
			options...), image, "sleep", "1000")...)
	}
	run("agent", repository+":v1")
	run("tagged", repository+":v2")
	run("pids", repository+":v1", "--pid=host")
	get := func(name string) []string {
		return []string{"curl", "-s", "-o", "/dev/null", "-m", "5", "--unix-socket", d.Socket, "http://x/" + name}
	}
	inside := func(container, name string) event.Client {
		for n := 0; ; n++ {
			path := name + strconv.Itoa(n)
			d.Docker(append([]string{"exec", container, "chroot", "/host"}, get(path)...)...)
			// A busy engine can take longer to answer than a request waits.
			if c := r.request(t, "/"+path).Docker.Client; c.UnverifiedReason != string(identity.Engine) || n > 20 {
				return c
			}
			time.Sleep(time.Second)
		}
	}
	digest := d.Docker("image", "inspect", "--format={{index .RepoDigests 0}}", repository+":v1")
	_, digest, _ = strings.Cut(digest, "@")
	id := d.Docker("image", "inspect", "--format={{.Id}}", repository+":v1")

	wantImage := event.Image{ID: id, Digest: digest, Verified: true}
	for _, name := range []string{"agent", "pids"} {
		if c := inside(name, "in-"+name); !c.InContainer || !c.Verified || c.Container.Name != name || c.Container.Image != repository+":v1" || c.Image != wantImage {
			t.Errorf("%s is %+v, want %+v", name, c, wantImage)
		}
	}
	if c := inside("tagged", "in-tagged"); !c.Verified || c.Container.Name != "tagged" || c.Image.Verified || c.Image.Digest != "" ||
		c.Image.ID != d.Docker("image", "inspect", "--format={{.Id}}", repository+":v2") {
		t.Errorf("a container of an image that was given the name is %+v", c)
	}
	d.Docker("restart", "--time=0", "agent")
	if c := inside("agent", "again"); !c.Verified {
		t.Errorf("a container that was restarted is %+v", c)
	}
	// What systemd lets every user do.
	container := d.Docker("inspect", "--format={{.Id}}", "agent")
	cgroup := filepath.Join(cgroups(t), "docker-"+container+".scope")
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = os.Remove(cgroup) })
	claim := func(name, before string) event.Client {
		script := "echo $$ >" + cgroup + "/cgroup.procs && " + before + " " + strings.Join(get(name), " ")
		taptest.Run(t, exec.Command("sh", "-c", script))
		return r.request(t, "/"+name).Docker.Client
	}
	if c := claim("claims", ""); c.InContainer || c.Container.ID != "" {
		t.Errorf("a process whose cgroup has the name of a container's is %+v", c)
	}
	if c := claim("claims-more", "unshare -m"); c.Verified || c.UnverifiedReason != string(identity.OtherContainer) {
		t.Errorf("the same with mounts of its own is %+v", c)
	}

	d.Docker("create", "--name=new", repository+":v1")
	d.Docker("create", "--name=evil", repository+":v2")
	for name, want := range map[string]bool{"new": true, "evil": false} {
		e := r.event(t, name, func(e *event.Event) bool { return strings.Contains(e.Docker.Request.Query, "name="+name) })
		if q := e.Docker.Request; q.CreateImageVerified != want || q.CreateImageID == "" {
			t.Errorf("the image of %s is verified: %t, %s", name, q.CreateImageVerified, q.CreateImageID)
		}
	}
}

// buildOf makes a directory from which an image that differs from another is built.
func buildOf(t *testing.T, image string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM "+image+"\nLABEL evil=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// cgroups is where a test can make a cgroup of a kind that counts.
func cgroups(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup"} {
		if _, err := os.Stat(dir + "/cgroup.procs"); err == nil {
			return dir
		}
	}
	t.Skip("there are no cgroups")
	return ""
}

// Who starts a container attaches to what is his own. A name or the words of a
// command line make no difference.
func TestDaemonAttach(t *testing.T) {
	taptest.Need(t, "curl", "bash")
	d := dockertest.Start(t)
	r := startBoth(t, d)
	attach := func(name string, own bool) {
		t.Helper()
		n := 0
		e := r.event(t, "attach to "+name, func(e *event.Event) bool {
			return e.Input == event.DockerAPI && e.Operation == "container.attach" && e.Docker.Container.Name == name
		})
		for _, e := range r.events(t) {
			if e.Operation == "container.attach" && e.Docker.Container.Name == name && meaning.IsAct(&e) {
				n++
			}
		}
		if e.Docker.Request.AttachOwn != own || n != 1 {
			t.Errorf("attach to %s is own: %t, want %t; %d acts", name, e.Docker.Request.AttachOwn, own, n)
		}
	}
	docker := func(script string) {
		t.Helper()
		cmd := exec.Command("bash", "-c", script)
		cmd.Env = d.Env()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", script, err, out)
		}
	}
	run := "run --network=none --stop-timeout=0 --init=false --name="
	docker("docker " + run + "ran busybox true")
	docker("$(command -v docker) --log-level error " + run + "ran-by-path busybox true")
	docker("docker create --network=none --name=started busybox true; docker start -a started")
	for _, name := range []string{"ran", "ran-by-path", "started"} {
		attach(name, true)
	}
	for _, name := range []string{"one", "two", "three"} {
		docker("docker " + run + name + " --detach busybox sleep 1000")
	}
	docker("timeout -s KILL 2 docker attach --no-stdin one || true")
	docker("timeout -s KILL 2 docker start -a two || true")
	docker("(exec -a 'docker run ' timeout -s KILL 2 docker attach --no-stdin three) || true")
	docker("docker create --network=none --name=four busybox sleep 1")
	docker("curl -s -m 6 -X POST --unix-socket ${DOCKER_HOST#unix://} 'http://x/containers/four/attach?stream=1&stdout=1' -o /dev/null & sleep 0.5; docker start four; wait || true")
	docker("docker create --network=none --name=five busybox true; curl -s -m 6 --unix-socket ${DOCKER_HOST#unix://} " +
		"-X POST 'http://x/containers/five/attach?stream=1&logs=1&stdout=1' -o /dev/null --next -s --unix-socket ${DOCKER_HOST#unix://} -X POST http://x/containers/five/start || true")
	for _, name := range []string{"one", "two", "three", "four", "five"} {
		attach(name, false)
	}
}
