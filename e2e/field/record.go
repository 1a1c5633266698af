// SPDX-License-Identifier: Apache-2.0

package field

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/build"
	"github.com/containerapi/containerapi/e2e/kube"
	"github.com/containerapi/containerapi/e2e/scenario"
)

// How long software works in its first pod, and in the one after it.
const (
	firstRun  = 60 * time.Second
	secondRun = 25 * time.Second
)

// kept is how many events of one kind, of one pod, a recording keeps.
const kept = 3

// RecordingFile returns the path of the software's recording in a directory.
func (s Software) RecordingFile(dir string) string { return filepath.Join(dir, s.Name+".jsonl.gz") }

// Record runs software against a cluster, all of it at once, in one pod and then in
// another, and writes what it sent into a directory. It says to log what became of
// each. The programs must be built: see [Software.Programs].
func Record(ctx context.Context, cluster *kube.Cluster, all []Software, dir string, log io.Writer) error {
	var failed error
	var ready []Software
	for _, s := range all {
		if err := s.install(ctx, cluster); err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Name, err))
			continue
		}
		ready = append(ready, s)
	}
	for run, length := range []time.Duration{firstRun, secondRun} {
		failed = errors.Join(failed, runAll(ctx, cluster, ready, run, length, log))
	}
	text, err := os.ReadFile(cluster.AuditLog)
	if err != nil {
		return errors.Join(failed, err)
	}
	for _, s := range ready {
		events, err := s.sent(text)
		if err == nil && len(events) == 0 {
			err = errors.New("sent nothing")
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Name, err))
			continue
		}
		fmt.Fprintf(log, "%s: %d events\n", s.Name, len(events))
		failed = errors.Join(failed, scenario.WriteRecording(s.RecordingFile(dir), events))
	}
	return failed
}

// PodName is the name of the software's pod number n, from 0 to 3, with the letters that
// Kubernetes takes.
func (s Software) PodName(n int) string {
	return fmt.Sprintf("main-7d9c8b5f6-%c4x2%c", "klmn"[n], "bcdf"[n])
}

// runAll runs software in its pods number run for some time.
func runAll(ctx context.Context, cluster *kube.Cluster, all []Software, run int, length time.Duration, log io.Writer) error {
	var failed error
	var pods []*pod
	for i, s := range all {
		p := &pod{cluster: cluster, namespace: s.Namespace(), name: s.PodName(run), network: 1 + run*len(all) + i}
		pods = append(pods, p)
		program, err := s.Programs(nil).Program(build.Name(s.Package))
		if err == nil {
			err = p.start(ctx, program, s.Args, s.Env)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	wait(ctx, length/2)
	for _, s := range all {
		if s.Acts == "" || run > 0 {
			continue
		}
		cmd := exec.CommandContext(ctx, "sh", "-exc", s.Acts)
		cmd.Env = append(append(os.Environ(), cluster.Env("admin")...), "NAMESPACE="+s.Namespace())
		if out, err := cmd.CombinedOutput(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("acts of %s: %w\n%s", s.Name, err, out))
		}
	}
	wait(ctx, length-length/2)
	for i, p := range pods {
		if p.Process == nil {
			continue
		}
		select {
		case <-p.Ended():
			text := p.log.String()
			fmt.Fprintf(log, "%s ended by itself: %v\n%s\n", all[i].Name, p.Err(), text[max(0, len(text)-3000):])
		default:
		}
	}
	for _, p := range pods {
		failed = errors.Join(failed, p.stop())
	}
	return failed
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// templated is what Helm fills in.
var templated = regexp.MustCompile(`\{\{.*?\}\}`)

// manifests returns a file, or those of a directory, as one text. Where a chart has values
// stand names that mean nothing.
func manifests(path string) (string, error) {
	files := []string{path}
	if entries, err := os.ReadDir(path); err == nil {
		files = nil
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".yaml") {
				files = append(files, filepath.Join(path, e.Name()))
			}
		}
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		all.WriteString("---\n")
		for line := range strings.Lines(string(text)) {
			if rest := templated.ReplaceAllString(line, ""); rest == line || strings.TrimSpace(rest) != "" {
				all.WriteString(templated.ReplaceAllString(line, "x"))
			}
		}
	}
	return all.String(), nil
}

// install makes the software's namespace, account, rights and resources.
func (s Software) install(ctx context.Context, cluster *kube.Cluster) error {
	module, err := s.source(ctx)
	if err != nil {
		return err
	}
	for _, crd := range s.CRDs {
		definitions, err := manifests(filepath.Join(module, crd))
		if err != nil {
			return err
		}
		if _, err := kubectl(ctx, cluster, definitions, "apply", "--server-side", "-f", "-"); err != nil {
			return err
		}
	}
	clusterRules, ownRules := s.Cluster, s.Own
	for _, name := range s.Roles {
		if err := rules(os.DirFS(module), name, &clusterRules, &ownRules); err != nil {
			return err
		}
	}
	binding := func(kind, name string) map[string]any {
		return map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind + "Binding",
			"metadata": map[string]any{"name": name, "namespace": s.Namespace()},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": Account, "namespace": s.Namespace()}},
		}
	}
	role := func(kind, name string, rules []any) map[string]any {
		return map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
			"metadata": map[string]any{"name": name, "namespace": s.Namespace()}, "rules": rules,
		}
	}
	own := append([]any{map[string]any{"apiGroups": []string{"coordination.k8s.io"}, "resources": []string{"leases"}, "verbs": []string{"*"}}}, ownRules...)
	objects := []any{
		map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": s.Namespace()}},
		map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": Account, "namespace": s.Namespace()}},
		role("ClusterRole", s.Namespace(), clusterRules), binding("ClusterRole", s.Namespace()),
		role("Role", "own", own), binding("Role", "own"),
	}
	text := new(strings.Builder)
	for _, o := range objects {
		line, err := json.Marshal(o)
		if err != nil {
			return err
		}
		fmt.Fprintf(text, "---\n%s\n", line)
	}
	if _, err := kubectl(ctx, cluster, text.String(), "apply", "-f", "-"); err != nil {
		return err
	}
	if s.Objects == "" {
		return nil
	}
	_, err = kubectl(ctx, cluster, strings.ReplaceAll(s.Objects, "NAMESPACE", s.Namespace()), "apply", "-f", "-")
	return err
}

// source returns the directory of the software's module.
func (s Software) source(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", s.Module+"@"+s.Version)
	cmd.Dir = os.TempDir()
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go mod download %s@%s: %w: %s", s.Module, s.Version, err, out)
	}
	var module struct{ Dir string }
	err = json.Unmarshal(out, &module)
	return module.Dir, err
}

// rules adds the rules of the roles in a file.
func rules(fsys fs.FS, name string, cluster, own *[]any) error {
	file, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	for decoder := yaml.NewDecoder(file); ; {
		var object struct {
			Kind  string
			Rules []any
		}
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		switch object.Kind {
		case "ClusterRole":
			*cluster = append(*cluster, object.Rules...)
		case "Role":
			*own = append(*own, object.Rules...)
		}
	}
}

// sent returns the events of the software in an audit log, the first few of each kind.
func (s Software) sent(log []byte) ([]json.RawMessage, error) {
	user := "system:serviceaccount:" + s.Namespace() + ":" + Account
	seen := make(map[string]int)
	var events []json.RawMessage
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, `"`+user+`"`) {
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, err
		}
		if e.User() != user {
			continue
		}
		// What is cut from a kind is cut with all of its stages.
		kind := strings.Join([]string{e.pod(), e.text("verb"), kindOf(e.text("requestURI")), fmt.Sprint(e.code()), e.text("stage")}, " ")
		if seen[kind]++; seen[kind] > kept {
			continue
		}
		events = append(events, json.RawMessage(strings.TrimSpace(line)))
	}
	return events, nil
}

// kindOf returns what of a request's URI is the same for requests of one kind.
func kindOf(uri string) string {
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return uri
	}
	query := u.Query()
	for _, name := range []string{"resourceVersion", "timeout", "timeoutSeconds", "continue", "allowWatchBookmarks", "resourceVersionMatch"} {
		query.Del(name)
	}
	return u.Path + "?" + query.Encode()
}
