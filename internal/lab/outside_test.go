package lab

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/remote"
)

// The world around a practice host, as the product reaches it.
func TestOutside(t *testing.T) {
	dir := t.TempDir()
	f := start(t, Config{Dir: dir})
	d := &remote.Dialer{ConfigFile: os.DevNull}
	t.Cleanup(func() { _ = d.Close() })
	h := load(t, dir).Hosts[6] // installed from an image: it does not know the authority
	if h.Name != "gpu-07" {
		t.Fatal(h.Name)
	}
	c, err := d.Dial(context.Background(), target(h))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m := f.Machine(h.Name)
	m.Silence(oldNAS, true)
	proxy := &remote.HTTPProxy{Host: "proxy.example.com", Port: 3128}
	roots := []string{m.world.outside.CA}
	endpoints := []remote.Endpoint{
		{Host: "quay.io", Port: 443, Proxy: proxy, Registry: true, Roots: roots},
		{Host: "app.run.ai", Port: 443, Proxy: proxy, Roots: roots},
		{Host: "app.run.ai", Port: 443, Proxy: proxy},
		{Host: "elsewhere.example.org", Port: 443, Proxy: proxy, Roots: roots},
		{Host: "app.run.ai", Port: 443, Roots: roots},
		{Host: nasName, Port: 2049, Plain: true},
		{Host: nasName, Port: 443, Plain: true},
		{Host: oldNAS, Port: 2049, Plain: true},
		{Host: practiceRegistry, Port: 5000, Registry: true, Roots: roots},
		{Host: practiceRegistry, Port: 443, Roots: roots},
	}
	want := []remote.Barrier{"", "", remote.NotTrusted, remote.ByProxy, remote.NoName, "", remote.Refused, remote.Silence, "", remote.Silence}
	sections, err := c.Look(context.Background(), "", []remote.Probe{{Name: "egress", Script: "echo @end", Endpoints: endpoints}})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(sections[0].Reached), "\n")
	for i, line := range lines {
		var r remote.Reached
		if err := json.Unmarshal([]byte(line), &r); err != nil || r.Barrier != want[i] {
			t.Errorf("%s: want the barrier %q (%v)", line, want[i], err)
		}
	}
}
