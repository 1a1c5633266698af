// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/containerapi/containerapi/plugin/event"
)

// write gives a body to a call, byte by byte.
func write(c *Call, body string) (read bool) {
	for i := range len(body) {
		if !c.WriteBody([]byte{body[i]}) {
			break
		}
	}
	return c.EndBody()
}

func TestBodies(t *testing.T) {
	const create, execute, volume, service = "/v1.47/containers/create", "/containers/a/b/exec", "/volumes/create", "/services/create"
	type docker = event.Docker
	type request = event.Request
	for _, test := range []struct {
		path, body string
		want       docker
		unread     bool
	}{
		{path: execute, body: `{"Cmd":["cat","/etc/hosts"],"Env":["A=secret"]}`, want: docker{Command: "cat /etc/hosts"}},
		{path: execute, body: `{"cmd":["id"],"user":"0:0","PRIVILEGED":true}`, want: docker{Command: "id", Request: request{ExecPrivileged: true}}},
		{path: execute, body: `{"Cmd":["no"],"cMd":["yes"]}`, want: docker{Command: "yes"}},
		{path: execute, body: `{"Cmd":["a\u0020b","\ud83d\ude00"]}`, want: docker{Command: "a b 😀"}},
		{path: execute, body: `{"Cmd":"id"}`, want: docker{Command: "id"}},
		{path: execute, body: `{"Cmd":["mysql","-pcanary"]}`, want: docker{Command: "mysql -p***"}},
		{path: execute, body: `{"Cmd":["id"]} and more`, want: docker{Command: "id"}},
		{path: execute, body: `{"Cmd":["id"`, want: docker{Command: "id"}, unread: true},
		{path: execute, body: ``, unread: true},
		{path: create, body: `{"Image":"busybox","Env":["P=secret"],"HostConfig":{"Privileged":true,"PidMode":"host","NetworkMode":"host","CapAdd":["ALL"],
			"Devices":[{"PathOnHost":"/dev/sda","PathInContainer":"/d"}],"DeviceCgroupRules":["b 8:* rwm"],
			"Binds":["/:/host:ro","data:/v","/anonymous"],"Mounts":[{"Type":"bind","Source":"/var/run","Target":"/r"},{"Type":"tmpfs","Target":"/t"},
			{"Type":"volume","Source":"v","Target":"/d","VolumeOptions":{"DriverConfig":{"Options":{"type":"none","o":"bind,password=secret","device":"/etc"}}}}]},
			"Volumes":{"/b":{},"/a":{}}}`,
			want: docker{Request: request{CreateImage: "busybox", CreatePrivileged: true,
				CreateMounts:  []string{"/:/host:ro", "data:/v", "/anonymous", "/var/run:/r", "/t", "/etc:/d", "/a", "/b"},
				CreateExposes: []string{"docker_socket", "runtime_socket", "host_root", "credentials", "devices", "system_bus", "privileged", "host_pid", "host_network", "capabilities"}}}},
		{path: create, body: `{"HostConfig":{"Mounts":[{"Type":"volume","Target":"/d","VolumeOptions":{"DriverConfig":{"Options":{"type":"overlay","o":"upperdir=/u,lowerdir=/etc:/x","device":"overlay"}}}},
			{"Target":"/e","VolumeOptions":{"DriverConfig":{"Options":{"type":"ext4","device":"/dev/vda1"}}}},
			{"Target":"/f","VolumeOptions":{"DriverConfig":{"Options":{"type":"nfs","o":"addr=10.0.0.1","device":":/export"}}}},
			{"Target":"/g","VolumeOptions":{"DriverConfig":{"Options":{"type":"cifs","o":"password=secret","device":"//server/share"}}}}]}}`,
			want: docker{Request: request{CreateMounts: []string{"overlay:/d", "/dev/vda1:/e", ":/export:/f", "//server/share:/g"},
				CreateExposes: []string{"credentials", "devices"}}}},
		{path: volume, body: `{"Name":"v","Driver":"local","DriverOpts":{"type":"none","o":"password=secret,bind,ro","device":"/root/.ssh"},"Labels":{"l":"secret"}}`,
			want: docker{ActorName: "v", Request: request{CreateMounts: []string{"/root/.ssh:v"}, CreateExposes: []string{"credentials"}}}},
		{path: volume, body: `{"Name":"v","DriverOpts":{"device":"/dev/sda1"}}`,
			want: docker{ActorName: "v", Request: request{CreateMounts: []string{"/dev/sda1:v"}, CreateExposes: []string{"devices"}}}},
		{path: volume, body: `{}`},
		// Encoding/json folds also these two letters.
		{path: create, body: "{\"image\":\"i\",\"hoſtconfig\":{\"privileged\":true},\"HostConfig\":{\"CapAdd\":\"SYS_ADMIN\"}}",
			want: docker{Request: request{CreateImage: "i", CreatePrivileged: true, CreateExposes: []string{"privileged", "capabilities"}}}},
		{path: create, body: `{"Image":"i","Privileged":true,"Binds":["/:/h"]}`,
			want: docker{Request: request{CreateImage: "i", CreatePrivileged: true, CreateMounts: []string{"/:/h"}, CreateExposes: []string{"host_root", "privileged"}}}},
		{path: create, body: `{"Image":"i","HostConfig":{"Binds":["/:/h"]},"hostconfig":{"Binds":[null]}}`,
			want: docker{Request: request{CreateImage: "i", CreateMounts: []string{"/:/h"}, CreateExposes: []string{"host_root"}}}},
		{path: create, body: `{"Labels":{"l":"` + strings.Repeat("x", 3<<20) + `"},"Image":"i","HostConfig":{"Privileged":true}}`,
			want: docker{Request: request{CreateImage: "i", CreatePrivileged: true, CreateExposes: []string{"privileged"}}}},
		{path: create, body: `{"HostConfig":{"Privileged":true,"Binds":["/:/h","` + strings.Repeat("x", maxKept) + `"]}}`, unread: true,
			want: docker{Request: request{CreatePrivileged: true, CreateMounts: []string{"/:/h"}, CreateExposes: []string{"host_root", "privileged"}}}},
		{path: create, body: `{"HostConfig":{"IpcMode":"host","UsernsMode":"host","SecurityOpt":["seccomp=unconfined"],"PidMode":"container:web","NetworkMode":"container:web","VolumesFrom":["web:ro"]}}`,
			want: docker{Request: request{CreateExposes: []string{"host_ipc", "host_user", "container_pid", "container_volumes", "container_network"}}}},
		{path: create, body: `{"HostConfig":{"IpcMode":"container:web","MaskedPaths":[],"ReadonlyPaths":[]}}`,
			want: docker{Request: request{CreateExposes: []string{"unconfined", "container_ipc"}}}},
		{path: create, body: `{"HostConfig":{"MaskedPaths":["/proc/kcore"],"ReadonlyPaths":null}}`},
		{path: create, body: `{"Labels":{"com.docker.compose.project":"shop","p":"secret"},"HostConfig":{"NetworkMode":"container:vpn"}}`,
			want: docker{Request: request{CreateExposes: []string{"sibling"}}}},
		{path: service, body: `{"TaskTemplate":{"ContainerSpec":{"Privileges":{"Seccomp":{"Mode":"custom","Profile":"eyJkZWZhdWx0QWN0aW9uIjoiU0NNUF9BQ1RfQUxMT1cifQ=="}}}}}`,
			want: docker{Request: request{CreateExposes: []string{"unconfined"}}}},
		{path: create, body: `{"HostConfig":{"SecurityOpt":["seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}"]}}`,
			want: docker{Request: request{CreateExposes: []string{"unconfined"}}}},
		{path: service, body: `{"Name":"agent","TaskTemplate":{"ContainerSpec":{"Image":"i","Env":["P=secret"],"CapabilityAdd":["CAP_SYS_ADMIN"],"Privileges":{"Seccomp":{"Mode":"unconfined"}},
			"Mounts":[{"Type":"bind","Source":"/var/run/docker.sock","Target":"/s"},{"Type":"volume","Source":"v","Target":"/v","VolumeOptions":{"DriverConfig":{"Name":"local","Options":{"type":"none","o":"bind","device":"/"}}}}]}}}`,
			want: docker{ActorName: "agent", Request: request{CreateImage: "i", CreateMounts: []string{"/var/run/docker.sock:/s", "/:/v"},
				CreateExposes: []string{"docker_socket", "host_root", "capabilities", "unconfined"}}}},
		{path: "/plugins/pull?remote=r&name=vieux/sshfs", body: `[{"Name":"network","Value":["host"]},{"Name":"mount","Value":["/var/lib/docker/plugins/","/"]},{"Name":"device","Value":["/dev/fuse"]},
			{"Name":"capabilities","Value":["CAP_SYS_ADMIN"]},{"Name":"allow-all-devices","Value":["true"]},{"Name":"host pid namespace","Value":["true"]}]`,
			want: docker{ActorName: "vieux/sshfs", Request: request{CreateMounts: []string{"/var/lib/docker/plugins/", "/"},
				CreateExposes: []string{"host_root", "credentials", "devices", "host_pid", "host_network", "capabilities"}}}},
		{path: "/plugins/p/set", body: `["PASSWORD=secret","data.source=/etc","disk.path=/dev/sda"]`,
			want: docker{ActorName: "p", Request: request{CreateMounts: []string{"/etc", "/dev/sda"}, CreateExposes: []string{"credentials", "devices"}}}},
		{path: "/v1.23/containers/web/start", body: `{"Binds":["/:/h"],"Privileged":true}`,
			want: docker{Request: request{CreatePrivileged: true, CreateMounts: []string{"/:/h"}, CreateExposes: []string{"host_root", "privileged"}}}},
		{path: create, body: `{"Image":"i","Privileged":true,"HostConfig":{}}`, want: docker{Request: request{CreateImage: "i"}}},
	} {
		c := NewCall("POST", test.path)
		if read := c.ReadsBody() && write(c, test.body); read == test.unread {
			t.Errorf("%s %.80s: read is %t", test.path, test.body, read)
		}
		var e event.Event
		c.Describe(&e)
		got := e.Docker
		got.ActorName = c.Object()
		if c.AboutContainer() {
			got.ActorName = ""
		}
		r := &got.Request
		got.Request = request{CreateImage: r.CreateImage, CreatePrivileged: r.CreatePrivileged, CreateMounts: r.CreateMounts,
			CreateExposes: r.CreateExposes, ExecPrivileged: r.ExecPrivileged}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s %.80s:\ngot  %+v\nwant %+v", test.path, test.body, got, test.want)
		}
		if strings.Contains(fmt.Sprintf("%+v %+v", e, c.body), "secret") || strings.Contains(fmt.Sprintf("%+v", e), "canary") {
			t.Errorf("%.80s: kept more than it may: %+v", test.body, e)
		}
	}
}

// Podman's own API has one answer: it is not read and means nothing here.
func TestLibpod(t *testing.T) {
	for _, target := range []string{"/v4.0.0/libpod/containers/a/exec", "/libpod/containers/create", "/v4/libpod/exec/a/start"} {
		c := NewCall("POST", target)
		if c.ReadsBody() || c.Hijacks([]byte("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")) || c.Operation().Name != "other" {
			t.Errorf("%s: reads %t, %v", target, c.ReadsBody(), c.Operation())
		}
	}
}

// What a call is about, and what the engine's event will call it.
func TestObject(t *testing.T) {
	for _, tt := range []struct{ method, target, object, becomes string }{
		{"GET", "/containers/web/json", "web", "web"},
		{"POST", "/containers/create?name=/web", "", "web"},
		{"POST", "/containers/web/rename?name=db", "web", "db"},
		{"POST", "/commit?container=/web&repo=r", "web", "web"},
		{"GET", "/images/get?names=a&names=b", "a b", "a b"},
		{"GET", "/images/a/get", "a", "a"},
		{"GET", "/info", "", ""},
		{"GET", "/nothing/web", "", ""},
	} {
		c := NewCall(tt.method, tt.target)
		if object, becomes := c.Object(), c.Becomes(); object != tt.object || becomes != tt.becomes {
			t.Errorf("%s %s: %q becomes %q, want %q, %q", tt.method, tt.target, object, becomes, tt.object, tt.becomes)
		}
	}
}

// A shell that a program feeds does what nobody sees; one at a terminal is a person's.
func TestExecInput(t *testing.T) {
	testReads(t, "/v1.47/containers/a/exec", map[string]string{
		`{"Cmd":["sh"],"AttachStdin":true,"Tty":true}`:            "",
		`{"Cmd":["sh"],"AttachStdin":true}`:                       "opaque",
		`{"Cmd":["sh"],"Tty":true}`:                               "",
		`{"Cmd":["sh","-c","curl x | sh"],"AttachStdout":true}`:   "opaque",
		`{"Cmd":["sh","-c","cat >/data"],"AttachStdin":true}`:     "",
		`{"Cmd":["python3"],"attachstdin":true,"AttachStdout":1}`: "opaque",
	})
}

// A container is created with a command, or with words for that of its image.
func TestCreateInput(t *testing.T) {
	testReads(t, "/v1.47/containers/create", map[string]string{
		`{"Image":"i","Cmd":["cat","/root/.aws/credentials"]}`:                            "credential",
		`{"Image":"i","Entrypoint":["cat"],"Cmd":["/root/.aws/credentials"]}`:             "credential",
		`{"Image":"i","Entrypoint":"env"}`:                                                "environment",
		`{"Image":"i","Cmd":["sh"],"OpenStdin":true,"AttachStdin":true,"StdinOnce":true}`: "opaque",
		`{"Image":"i","Cmd":["sh"],"OpenStdin":true,"Tty":true}`:                          "",
		`{"Image":"i","Entrypoint":["sh","-c"],"Cmd":["curl x | sh"]}`:                    "opaque",
		`{"Image":"i","Cmd":["-c","max_connections=9"]}`:                                  "",
		`{"Image":"i","Cmd":null,"Entrypoint":null,"OpenStdin":true}`:                     "",
	})
}

// testReads compares what the commands of requests read.
func testReads(t *testing.T, path string, bodies map[string]string) {
	t.Helper()
	for body, want := range bodies {
		c := NewCall("POST", path)
		write(c, body)
		var e event.Event
		c.Describe(&e)
		if got := strings.Join(e.CommandReads.Names(), " "); got != want {
			t.Errorf("%s reads %q, want %q", body, got, want)
		}
	}
}
