package remote

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An imageServer is a registry with images, a token service and a store of
// blobs, each under a name of its own.
type imageServer struct {
	auth, store string // URLs; empty: no token is wanted, blobs are here
	documents   map[string]string
	answers     map[string]int // the status for a path instead

	mu    sync.Mutex
	asked []string
}

// put adds an image for each architecture, under the tag; several become an index.
func (s *imageServer) put(t *testing.T, repository, tag string, configs map[string]map[string]any) (digest string) {
	t.Helper()
	if s.documents == nil {
		s.documents, s.answers = map[string]string{}, map[string]int{}
	}
	add := func(kind string, document any) string {
		text, err := json.Marshal(document)
		must(t, err)
		sum := sumOf(text)
		s.documents["/v2/"+repository+"/"+kind+"/"+sum] = string(text)
		return sum
	}
	manifests := []any{map[string]any{"digest": add("manifests", map[string]any{"an": "attestation"}), "platform": map[string]any{"os": "unknown", "architecture": "unknown"}}}
	for _, architecture := range slices.Sorted(maps.Keys(configs)) {
		config := add("blobs", map[string]any{"os": "linux", "architecture": architecture, "config": configs[architecture], "history": []any{map[string]any{"created_by": "ENV API_KEY=canary"}}})
		digest = add("manifests", map[string]any{"mediaType": typeManifest, "config": map[string]any{"digest": config}, "layers": []any{}})
		manifests = append(manifests, map[string]any{"digest": digest, "platform": map[string]any{"os": "linux", "architecture": architecture}})
	}
	if len(configs) > 1 {
		digest = add("manifests", map[string]any{"mediaType": typeIndex, "manifests": manifests})
	}
	s.documents["/v2/"+repository+"/manifests/"+tag] = s.documents["/v2/"+repository+"/manifests/"+digest]
	return digest
}

func (s *imageServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.String())
	s.mu.Unlock()
	text, known := s.documents[r.URL.Path]
	switch status := s.answers[r.URL.Path]; {
	case s.auth != "" && r.Header.Get("Authorization") != "Bearer token-canary":
		w.Header().Set("Www-Authenticate", `Bearer realm="`+s.auth+`",service="registry.test",scope="repository:x:pull"`)
		w.WriteHeader(http.StatusUnauthorized)
	case status != 0:
		w.WriteHeader(status)
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case strings.Contains(r.URL.Path, "/blobs/") && s.store != "":
		http.Redirect(w, r, s.store+r.URL.Path+"?signature=canary", http.StatusTemporaryRedirect)
	default:
		w.Header().Set("Docker-Content-Digest", sumOf([]byte(text)))
		_, _ = io.WriteString(w, text)
	}
}

// count is how often something was asked for.
func (s *imageServer) count(what string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.asked {
		if strings.HasPrefix(a, what) {
			n++
		}
	}
	return n
}

var tells = []string{"NVIDIA_REQUIRE_*", "CUDA_VERSION", "com.nvidia.*.version"}

// aConfig is what matters of an image for GPUs, and what does not.
func aConfig(cuda string) map[string]any {
	return map[string]any{
		"Env":    []string{"PATH=/usr/bin", "API_KEY=canary", "CUDA_VERSION=" + cuda, "NVIDIA_REQUIRE_CUDA=cuda>=9.0", "odd"},
		"Labels": map[string]string{"com.nvidia.pytorch.version": "2.2.0a0+81ea7a4", "secret": "canary"},
	}
}

// Images are asked for through a real sshd: the manifest for the architecture,
// through an index, a token service and whoever has the blobs; along the proxy;
// and what ends the way is told apart.
func TestImages(t *testing.T) {
	ours, box := newAuthority(t, "Corp CA"), newAuthority(t, "Blue Box TLS inspection")
	tokens := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Get("service") != "registry.test" || q.Get("scope") == "" || r.Header.Get("Authorization") != "":
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/refuses":
			w.WriteHeader(http.StatusUnauthorized)
		default:
			_, _ = io.WriteString(w, `{"access_token":"token-canary"}`)
		}
	})
	auth := ours.serve(t, tokens, "auth.test")
	at := func(host string, port int) string { return fmt.Sprintf("https://%s:%d", host, port) }
	stored := &imageServer{}
	// What stores blobs is told no token.
	store := ours.serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.URL.Query().Get("signature") != "canary" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		stored.ServeHTTP(w, r)
	}), "store.test")
	whole := &imageServer{auth: at("auth.test", auth) + "/token?account=none", store: at("store.test", store)}
	index := whole.put(t, "nvidia/pytorch", "24.01-py3", map[string]map[string]any{"amd64": aConfig("12.3.2.001"), "arm64": aConfig("0.0")})
	stored.documents = whole.documents
	registry := ours.serve(t, whole, "registry.test")

	open := &imageServer{}
	single := open.put(t, "ai/train", "1", map[string]map[string]any{"amd64": aConfig("11.8.0")})
	open.put(t, "ai/arm", "1", map[string]map[string]any{"arm64": aConfig("11.8.0")})
	open.put(t, "ai/arms", "1", map[string]map[string]any{"arm64": aConfig("11.8.0"), "ppc64le": aConfig("11.8.0")})
	much := aConfig("11.8.0")
	much["Env"] = []string{"NVIDIA_REQUIRE_CUDA=cuda>=12.4" + strings.Repeat(" brand=tesla,driver>=470,driver<471", 600)}
	large := open.put(t, "ai/much", "1", map[string]map[string]any{"amd64": much})
	open.put(t, "ai/often", "1", map[string]map[string]any{"amd64": aConfig("11.8.0")})
	open.answers["/v2/ai/often/manifests/1"] = http.StatusTooManyRequests
	forged := open.put(t, "ai/forged", "1", map[string]map[string]any{"amd64": aConfig("1.0")})
	open.documents["/v2/ai/forged/manifests/"+forged] += " "
	plain := ours.serve(t, open, "registry.test")
	mirror := &imageServer{}
	mirror.put(t, "nvidia/pytorch", "24.01-py3", map[string]map[string]any{"amd64": aConfig("10.0")})
	mirrorPort := ours.serve(t, mirror, "registry.test")
	private := ours.serve(t, &imageServer{auth: at("auth.test", auth) + "/refuses"}, "registry.test")
	basic := ours.serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Www-Authenticate", `Basic realm="corp"`)
		w.WriteHeader(http.StatusUnauthorized)
	}), "registry.test")
	inspected := ours.serve(t, &imageServer{auth: at("auth.test", box.serve(t, tokens, "auth.test"))}, "registry.test")
	insecure := httptest.NewServer(open)
	t.Cleanup(insecure.Close)
	var insecurePort int
	_, err := fmt.Sscanf(insecure.URL, "http://127.0.0.1:%d", &insecurePort)
	must(t, err)
	ports := map[string]int{"registry.test": registry, "auth.test": auth, "store.test": store}
	proxy := &HTTPProxy{Host: "127.0.0.1", Port: connectProxy(t, ports)}

	setup := "printf '127.0.0.1 registry.test auth.test store.test\\n' >>/etc/hosts"
	image := func(port int, repository, reference string) Endpoint {
		return Endpoint{Host: "registry.test", Port: port, Roots: []string{ours.pem}, Image: &Image{
			Name: repository + ":" + reference, Repository: repository, Reference: reference, Architecture: "amd64", Tells: tells,
		}}
	}
	elsewhere := func(e Endpoint, places ...Endpoint) Endpoint {
		e.Image.Mirrored, e.Image.Else = "nvcr.io", places
		return e
	}
	proxied := image(443, "nvidia/pytorch", "24.01-py3")
	proxied.Proxy, proxied.Image.Way = proxy, func(host string, port int) *HTTPProxy {
		if host == "registry.test" {
			t.Errorf("the way to the registry is asked for anew")
		}
		return proxy
	}
	withoutTLS := image(insecurePort, "ai/train", "1")
	withoutTLS.Insecure = true
	strange := image(box.serve(t, open, "registry.test"), "ai/train", "1")
	pytorch := func() Endpoint { return image(registry, "nvidia/pytorch", "24.01-py3") }
	cases := []struct {
		name     string
		endpoint Endpoint
		barrier  Barrier
		at       string // whose name is in At
		digest   string
		cuda     string
		said     string
	}{
		{"through an index", pytorch(), "", "registry.test", index, "12.3.2.001", ""},
		{"by digest", image(plain, "ai/train", single), "", "registry.test", single, "11.8.0", ""},
		{"through a proxy", proxied, "", "registry.test", index, "12.3.2.001", ""},
		{"for another architecture", image(plain, "ai/arm", "1"), NoImage, "registry.test", "", "", "linux/arm64"},
		{"for others", image(plain, "ai/arms", "1"), NoImage, "registry.test", "", "", "linux/arm64, linux/ppc64le"},
		{"not there", image(plain, "ai/train", "2"), NoImage, "registry.test", "", "", "404"},
		{"too often", image(plain, "ai/often", "1"), TooMany, "registry.test", "", "", "429"},
		{"not its digest", image(plain, "ai/forged", "1"), Answer, "registry.test", "", "", "digest"},
		{"private", image(private, "ai/train", "1"), Login, "auth.test", "", "", "401"},
		{"with a login only", image(basic, "ai/train", "1"), Login, "registry.test", "", "", "no token"},
		{"tokens inspected", image(inspected, "ai/train", "1"), NotTrusted, "auth.test", "", "", "Blue Box"},
		{"silent", image(silent(t), "ai/train", "1"), Silence, "registry.test", "", "", ""},
		{"nobody there", image(freePort(t), "ai/train", "1"), Refused, "registry.test", "", "", "refused"},
		{"without TLS", withoutTLS, "", "registry.test", single, "11.8.0", ""},
		{"a mirror has it", elsewhere(image(mirrorPort, "nvidia/pytorch", "24.01-py3"), pytorch()), "", "registry.test", "sha", "10.0", ""},
		{"a mirror has it not", elsewhere(image(plain, "nvidia/pytorch", "24.01-py3"), pytorch()), "", "registry.test", index, "12.3.2.001", ""},
		{"a mirror is silent", elsewhere(image(silent(t), "nvidia/pytorch", "24.01-py3"), pytorch()), "", "registry.test", index, "12.3.2.001", ""},
		{"nobody has it, one does not say", elsewhere(image(plain, "ai/train", "2"), image(private, "ai/train", "2")), Login, "auth.test", "", "", "401"},
		{"an authority that the host alone knows", strange, "", "registry.test", single, "11.8.0", ""},
		{"requires too much", image(plain, "ai/much", "1"), "", "registry.test", large, "", ""},
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, box.pem, 0o644)
	s := startSSHD(t, sshdOptions{setup: setup + "; cat " + file + " >>/etc/ssl/certs/ca-certificates.crt"})
	conn := dial(t, newDialer(t), s.target(t, "ops"))
	var endpoints []Endpoint
	for _, c := range cases {
		endpoints = append(endpoints, c.endpoint)
	}
	begun := time.Now()
	found := reachedBy(t, conn, endpoints...)
	if took := time.Since(begun); took > 20*time.Second { // ten, on a machine that has nothing else to do
		t.Errorf("took %v", took)
	}
	for i, c := range cases {
		r := found[i]
		line, err := json.Marshal(r)
		must(t, err)
		if r.Barrier != c.barrier || r.Image == nil || !strings.HasPrefix(r.Image.At, c.at+":") || !strings.HasPrefix(r.Image.Digest, c.digest) || (c.digest == "") != (r.Image.Digest == "") ||
			!strings.Contains(r.Said, c.said) || r.By != bySSH || r.Endpoint != c.endpoint.address() || r.Image.Name != c.endpoint.Image.Name {
			t.Errorf("%s: %s", c.name, line)
			continue
		}
		if strings.Contains(string(line), "canary") {
			t.Errorf("%s: a secret shows: %s", c.name, line)
		}
		if c.cuda == "" {
			continue
		}
		if want := map[string]string{"CUDA_VERSION": c.cuda, "NVIDIA_REQUIRE_CUDA": "cuda>=9.0"}; !maps.Equal(r.Image.Env, want) || !maps.Equal(r.Image.Labels, map[string]string{"com.nvidia.pytorch.version": "2.2.0a0+81ea7a4"}) {
			t.Errorf("%s: %s", c.name, line)
		}
	}
	if r := found[0]; r.Tokens != fmt.Sprintf("auth.test:%d", auth) || r.Issuer != "Corp CA" {
		t.Errorf("%+v", r)
	}
	if i := found[len(found)-1].Image; i.Untold != "it says more than 16 KiB of that" || i.Env != nil || i.Labels != nil {
		t.Errorf("%+v", i)
	}
	if !found[13].Plain || found[0].Plain {
		t.Error("which one has no TLS does not show")
	}
	for _, asked := range mirror.asked {
		if !strings.HasSuffix(asked, "?ns=nvcr.io") {
			t.Errorf("the mirror is not told whose image it is: %s", asked)
		}
	}
	if n := whole.count("GET /v2/nvidia/pytorch/blobs/"); n != 1 {
		t.Errorf("the configuration was fetched %d times: %v", n, whole.asked)
	}
}

// Of what an image tells of its requirements all is kept or nothing, and then it
// is said why: a part may be met where the whole is not.
func TestImagesTellAllOrNothing(t *testing.T) {
	long := strings.Repeat("a", maxTelling)
	var full, over []string
	for i := range maxTold + 1 {
		full, over = over, append(over, fmt.Sprintf("NVIDIA_REQUIRE_%02d=cuda>=9.0", i))
	}
	for name, c := range map[string]struct {
		env    []string
		labels map[string]string
		kept   int
		untold string
	}{
		"all":                {full, nil, maxTold, ""},
		"too many":           {over, nil, 0, "more than 32 variables"},
		"too many together":  {full, map[string]string{"com.nvidia.x.version": "1"}, 0, "more than 32 variables"},
		"as large as may be": {[]string{"CUDA_VERSION=" + long[len("CUDA_VERSION"):]}, nil, 1, ""},
		"too large":          {[]string{"NVIDIA_REQUIRE_A=cuda>=9.0", "CUDA_VERSION=" + long}, nil, 0, "more than 16 KiB"},
		"a name too large":   {[]string{"NVIDIA_REQUIRE_" + long + "=cuda>=9.0"}, nil, 0, "more than 16 KiB"},
		"a label too large":  {full, map[string]string{"com.nvidia.x.version": long}, 0, "more than 16 KiB"},
		"what is not kept":   {append([]string{"PATH=" + long}, full...), map[string]string{"maintainer": long}, maxTold, ""},
	} {
		config := &ociConfig{}
		config.Config.Env, config.Config.Labels = c.env, c.labels
		env, labels, untold := config.telling(tells)
		if len(env)+len(labels) != c.kept || !strings.Contains(untold, c.untold) || (c.untold == "") != (untold == "") || len(untold) > 120 {
			t.Errorf("%s: %d variables, %d labels, %q", name, len(env), len(labels), untold)
		}
	}
}

// What has been read of an image in a run is not read again from another host,
// but what its name stands for is asked of each; and a host that is stuck does
// not keep others waiting.
func TestImagesReadOnce(t *testing.T) {
	ours := newAuthority(t, "Corp CA")
	server := &imageServer{}
	server.put(t, "ai/train", "1", map[string]map[string]any{"amd64": aConfig("12.3"), "arm64": aConfig("12.3")})
	e := Endpoint{Host: "registry.test", Port: ours.serve(t, server, "registry.test"), Roots: []string{ours.pem}, Image: &Image{Name: "it", Repository: "ai/train", Reference: "1", Architecture: "amd64", Tells: tells}}
	s := startSSHD(t, sshdOptions{setup: "printf '127.0.0.1 registry.test\\n' >>/etc/hosts"})
	d := newDialer(t)
	for range 3 {
		if r := reachedBy(t, dial(t, d, s.target(t, "ops")), e)[0]; r.Barrier != "" || r.Image.Env["CUDA_VERSION"] != "12.3" {
			t.Errorf("%+v", r)
		}
	}
	if heads, gets := server.count("HEAD /v2/ai/train/manifests/1"), server.count("GET"); heads != 3 || gets != 3 {
		t.Errorf("%d HEAD, %d GET, want 3 and 3: %v", heads, gets, server.asked)
	}

	store := &imageStore{}
	stuck, free := make(chan struct{}), make(chan struct{})
	go func() {
		_, _ = store.once(t.Context(), "key", func() (*imageConfig, error) { close(stuck); <-free; return nil, io.EOF })
	}()
	<-stuck
	if found, err := store.once(t.Context(), "key", func() (*imageConfig, error) { return &imageConfig{}, nil }); found == nil || err != nil {
		t.Errorf("%v %v", found, err)
	}
	close(free)
}

// However many registries say nothing, and where sshd forwards nothing: a look
// takes no longer than for endpoints, and it says what could not be seen.
func TestImagesNotSeen(t *testing.T) {
	for name, config := range map[string]string{"silent": "", "nothing forwarded": "AllowTcpForwarding no"} {
		t.Run(name, func(t *testing.T) {
			s := startSSHD(t, sshdOptions{config: config, setup: "printf '127.0.0.1 registry.test\\n' >>/etc/hosts"})
			conn := dial(t, newDialer(t), s.target(t, "ops"))
			var endpoints []Endpoint
			for i := range 10 {
				e := Endpoint{Host: "registry.test", Port: silent(t), Image: &Image{Name: fmt.Sprint(i), Repository: "a", Reference: "1"}}
				e.Image.Else = []Endpoint{{Host: "registry.test", Port: silent(t), Image: &Image{Name: fmt.Sprint(i), Repository: "a", Reference: "1"}}}
				endpoints = append(endpoints, e)
			}
			begun := time.Now()
			found := reachedBy(t, conn, endpoints...)
			if took := time.Since(begun); took > 30*time.Second { // a bound against twenty waits in a row, not a measure
				t.Errorf("took %v", took)
			}
			want := map[string]Barrier{"": Silence, "AllowTcpForwarding no": Forbidden}[config]
			for i, r := range found {
				if r.Barrier != want || r.Image.Name != fmt.Sprint(i) || r.Image.Digest != "" {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

func TestChallenges(t *testing.T) {
	for challenge, want := range map[string]string{
		`Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/ubuntu:pull"`: "realm=https://auth.docker.io/token scope=repository:library/ubuntu:pull service=registry.docker.io",
		`bearer realm="https://nvcr.io/proxy_auth?scope=a,b", error="x"`:                                                  "error=x realm=https://nvcr.io/proxy_auth?scope=a,b",
		`Bearer service=registry,realm="https://a/"`:                                                                      "realm=https://a/ service=registry",
		`Basic realm="x"`:            "not bearer",
		``:                           "not bearer",
		`Bearer realm="unfinished`:   "realm=unfinished",
		`Bearer realm`:               "",
		`Bearer ,,,realm="a",,b="c"`: "b=c realm=a",
	} {
		fields, bearer := parseChallenge(challenge)
		var all []string
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			all = append(all, name+"="+fields[name])
		}
		got := strings.Join(all, " ")
		if !bearer {
			got = "not bearer"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", challenge, got, want)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`)
	f.Fuzz(func(t *testing.T, challenge string) {
		fields, bearer := parseChallenge(challenge)
		if len(fields) > strings.Count(challenge, "=") {
			t.Errorf("%q: %v", challenge, fields)
		}
		if tokensOf(challenge) != "" && (!bearer || fields["realm"] == "") {
			t.Errorf("%q: tokens from %s, and no realm", challenge, tokensOf(challenge))
		}
	})
}
