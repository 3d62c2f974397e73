package remote

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// This file is the conversation with a registry: what it refuses, and the token that
// it wants to see.

// do asks the registry, and once more with a token where it wants one.
func (a *asker) do(method, to string, r *Reached) (*http.Response, error) {
	for {
		request, err := http.NewRequestWithContext(a.ctx, method, to, nil)
		if err != nil {
			return nil, err
		}
		request.Header.Set("User-Agent", "runai-prep")
		for _, t := range []string{typeIndex, typeManifestList, typeManifest, typeManifestV2} {
			request.Header.Add("Accept", t)
		}
		request.Header.Add("Accept", "*/*;q=0.1")
		if a.token != "" {
			request.Header.Set("Authorization", "Bearer "+a.token)
		}
		response, err := a.http.Do(request)
		if err != nil {
			return nil, err
		}
		r.Status = response.StatusCode
		if response.StatusCode != http.StatusUnauthorized || a.token != "" {
			return response, nil
		}
		_ = response.Body.Close()
		if err := a.authorize(response.Header.Values("Www-Authenticate"), r); err != nil {
			return nil, err
		}
	}
}

// authorize gets the token that anybody may have.
func (a *asker) authorize(challenges []string, r *Reached) error {
	for _, challenge := range challenges {
		fields, bearer := parseChallenge(challenge)
		if !bearer || fields["realm"] == "" {
			continue
		}
		realm, err := url.Parse(fields["realm"])
		if err != nil || realm.Hostname() == "" || realm.Scheme != "https" && !(a.e.Insecure && realm.Scheme == "http") {
			return a.wrong("where it sends for tokens is no address with TLS")
		}
		r.Tokens = tokensOf(challenge)
		query := realm.Query()
		if fields["service"] != "" {
			query.Set("service", fields["service"])
		}
		scope := fields["scope"]
		if scope == "" {
			scope = "repository:" + a.e.Image.Repository + ":pull"
		}
		query.Set("scope", scope)
		realm.RawQuery = query.Encode()
		return a.fetchToken(realm.String(), r.Tokens)
	}
	return &end{Barrier: Login, at: a.e.address(), status: http.StatusUnauthorized, said: "it gives no token to whoever asks"}
}

func (a *asker) fetchToken(from, at string) error {
	request, err := http.NewRequestWithContext(a.ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "runai-prep")
	response, err := a.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return a.refused(response)
	}
	var given struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxToken)).Decode(&given); err != nil {
		return &end{Barrier: Answer, at: at, said: "what it gives for a token is none"}
	}
	if a.token = given.Token; a.token == "" {
		a.token = given.AccessToken
	}
	if a.token == "" {
		return &end{Barrier: Login, at: at, status: response.StatusCode, said: "it gives no token to whoever asks"}
	}
	return nil
}

// refused is what an answer that is no image means, be it the registry's or that
// of somebody to whom it sends.
func (a *asker) refused(response *http.Response) error {
	asked := response.Request.URL
	e := &end{Barrier: Answer, at: hostPort(asked), status: response.StatusCode, said: response.Status}
	switch own := strings.HasPrefix(asked.String(), a.base+"/v2/"+a.e.Image.Repository+"/"); {
	case response.StatusCode == http.StatusTooManyRequests:
		e.Barrier = TooMany
	case response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden:
		e.Barrier = Login
	case response.StatusCode == http.StatusNotFound && own:
		e.Barrier = NoImage
	}
	return e
}

// hostPort is where a URL leads.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return Safe(net.JoinHostPort(u.Hostname(), port))
}

// parseChallenge reads a WWW-Authenticate header: Bearer realm="…",service="…".
func parseChallenge(challenge string) (fields map[string]string, bearer bool) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(challenge), " ")
	fields = map[string]string{}
	for rest = strings.TrimLeft(rest, " ,"); rest != ""; rest = strings.TrimLeft(rest, " ,") {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		value := ""
		if quoted, ok := strings.CutPrefix(after, `"`); ok {
			value, rest, _ = strings.Cut(quoted, `"`)
		} else {
			value, rest, _ = strings.Cut(after, ",")
		}
		fields[strings.ToLower(strings.TrimSpace(name))] = value
	}
	return fields, strings.EqualFold(scheme, "bearer")
}
