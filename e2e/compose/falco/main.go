// SPDX-License-Identifier: Apache-2.0

// Command falco takes Falco's place in the demo stack where there is no Falco:
// it reads what matters of the same configuration file, runs the same plugin and
// rules in sysdig, and sends the alerts to the same address.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/containerapi/containerapi/e2e/engine"
)

// config is what is read of Falco's configuration file.
type config struct {
	Plugins []struct {
		Name        string
		LibraryPath string `yaml:"library_path"`
		InitConfig  any    `yaml:"init_config"`
		OpenParams  string `yaml:"open_params"`
	}
	RulesFiles []string             `yaml:"rules_files"`
	HTTPOutput struct{ URL string } `yaml:"http_output"`
	Webserver  struct {
		Address string `yaml:"listen_address"`
		Port    int    `yaml:"listen_port"`
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	text, err := os.ReadFile("/etc/falco/falco.yaml")
	if err != nil {
		return err
	}
	var c config
	if err := yaml.Unmarshal(text, &c); err != nil {
		return err
	}
	e, err := engine.Find(ctx)
	if err != nil {
		return err
	}
	sysdig := engine.Config{Source: "container_api", Rules: c.RulesFiles}
	for _, p := range c.Plugins {
		sysdig.Plugins = append(sysdig.Plugins, engine.Plugin{
			Name: p.Name, Library: p.LibraryPath, Init: p.InitConfig, Open: p.OpenParams,
		})
	}
	p, err := engine.Start(e, sysdig)
	if err != nil {
		return err
	}
	defer p.Stop()
	go show(p)
	http.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	healthy := net.JoinHostPort(c.Webserver.Address, strconv.Itoa(c.Webserver.Port))
	go func() { log.Fatal(http.ListenAndServe(healthy, nil)) }()
	for {
		alerts, err := p.Until(ctx, func(engine.Alert) bool { return true })
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, a := range alerts {
			if err := send(ctx, c.HTTPOutput.URL, a); err != nil {
				log.Print(err)
			}
		}
	}
}

// show prints what the engine logs.
func show(p *engine.Process) {
	shown := 0
	for range time.Tick(100 * time.Millisecond) {
		text := p.Stderr()
		_, _ = os.Stderr.WriteString(text[shown:])
		shown = len(text)
	}
}

// send sends an alert in Falco's form.
func send(ctx context.Context, url string, a engine.Alert) error {
	body, err := json.Marshal(map[string]any{
		"rule": a.Rule, "source": a.Source, "priority": a.Priority, "time": a.Time, "output": a.Output, "output_fields": a.Fields,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}
