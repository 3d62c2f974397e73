package tasks

import (
	"fmt"
	"slices"

	"github.com/runai-prep/runai-prep/remote"
)

// reached is what came of asking a registry for /v2/ from the host.
func (p *registryPlan) reached(w registryWish) Finding {
	f := Finding{Subject: w.endpoint(), State: OK, Want: "it answers as a registry", Why: w.why}
	i := slices.IndexFunc(p.f.Reached, func(r remote.Reached) bool { return r.Endpoint == f.Subject })
	if i < 0 {
		f.State, f.Have = Unknown, "it was not tried"
		return f
	}
	r := p.f.Reached[i]
	if w.insecure && r.Barrier == remote.NotTrusted {
		f.Have = "it answers; what it is is not verified, as asked for" + by(r)
		return f
	}
	if r.Barrier == "" {
		f.Have = fmt.Sprintf("it answers with %d", r.Status)
		if r.Status == 0 {
			f.Have = "it answers"
		}
		if r.Tokens != "" && r.Tokens != r.Endpoint {
			f.Have += ", and sends for tokens to " + r.Tokens
		}
		f.Have += by(r)
		return f
	}
	f.State = Unmet
	f.Have, f.Hint = barrier(r)
	return f
}

func by(r remote.Reached) string {
	text := " (by " + r.By
	if r.Through != "" {
		text += ", through the proxy " + r.Through
	}
	return text + ")"
}

// barrier says where the way to an endpoint ended, and what a person can do.
func barrier(r remote.Reached) (have, hint string) {
	who := r.Endpoint
	if r.Proxy {
		who = "the proxy " + r.Through
	}
	said := ""
	if r.Said != "" {
		said = ": " + clip(r.Said, 160)
	}
	switch r.Barrier {
	case remote.NoName:
		return "no address for " + who + said, "make the host's name server know it, or /etc/hosts"
	case remote.Refused:
		return "nobody listens at " + who + said, "see whether it runs, and on which port"
	case remote.NoRoute:
		return "no way to " + who + said, "see the host's routes and what firewalls reject"
	case remote.Silence:
		return "no answer from " + who + said, "a firewall that drops packets looks like this: let the host through"
	case remote.ByProxy:
		if r.Status != 0 {
			said = fmt.Sprintf(" with %d", r.Status) + said
		}
		return "the proxy " + r.Through + " refuses the way to " + r.Endpoint + said, "allow it there, or let no_proxy name it"
	case remote.NoTLS:
		return "no TLS with " + who + said, "a firewall that looks at names cuts it off, or who answers there does not speak TLS"
	case remote.NotTrusted:
		have = "its certificate is not trusted"
		if r.Issuer != "" {
			have += " (issued by " + r.Issuer + ")"
		}
		return have + said, "give the authority that issued it as ca, or find out who sits in between"
	case remote.Answer:
		return "it does not answer as a registry" + said, "see whether the address is that of a registry, and what stands before it"
	case remote.Forbidden:
		return "the way to it cannot be tried" + said, "let sshd forward (AllowTcpForwarding), or install curl on the host"
	}
	return string(r.Barrier) + said, ""
}
