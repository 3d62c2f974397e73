package remote

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// toolsScript tries endpoints with what the host has, where its sshd forwards
// nothing: curl, which tells most; openssl, which tells of TLS alone; bash,
// which can only knock. Each try prints one line: number, tool, exit status,
// the tool's words.
//
// A proxy's password goes to curl on standard input, which no list of processes
// shows. The two others cannot be given it so, and then are not used.
const toolsScript = `
nl='
'
flat() {
	flat_ifs=$IFS
	IFS=$nl
	set -f
	flat=
	for flat_line in $1; do
		# openssl shows whole certificates.
		case $try_tool,$flat_line in openssl,*i:* | openssl,*rror* | openssl,*ailed* | openssl,HTTP/1* | openssl,[Ll]ocation:* | openssl,[Cc]ontent-[Tt]ype:* | [!o]*) flat="$flat; $flat_line" ;; esac
	done
	set +f
	IFS=$flat_ifs
}
# uptime: in seconds, in $up; 0 where that cannot be seen.
uptime() {
	up=0
	if [ -r /proc/uptime ]; then read -r up up_idle </proc/uptime; fi
	up=${up%%.*}
}
has() { command -v "$1" >/dev/null 2>&1; }
# try NUMBER HOST PORT PATH PROXY CONFIG SCHEMES
try() {
	# What a busy host begins late has less time, but two seconds, so that it
	# ends before ours is up.
	uptime
	try_time=$try_most
	if [ $((try_end - up)) -lt "$try_time" ]; then try_time=$((try_end - up)); fi
	if [ "$try_time" -lt 2 ]; then try_time=2; fi
	try_proxy=
	if [ -n "$5" ]; then try_proxy="proxy = \"http://$5\"$nl"; fi
	if [ "$4" != - ] && has curl; then
		try_tool=curl
		for try_scheme in $7; do
			try_out=$(printf '%s' "$try_proxy$6" | curl -q -K - -p -sS -m $try_time -o /dev/null -w "${nl}HTTP %{http_code} %{http_connect} %{content_type}${nl}SENT %{redirect_url}$nl" "$try_scheme://$2:$3$4" 2>&1)
			try_exit=$?
			case $try_exit in 35 | 56) ;; *) break ;; esac # the next is without TLS
		done
		case $try_exit,$try_scheme in 0,https | 60,https)
			try_more=$(printf '%s' "$try_proxy$6" | curl -q -K - -k -v -sS -m $try_again -o /dev/null "https://$2:$3$4" 2>&1)
			case $try_more in *"issuer: "*)
				try_more=${try_more#*"issuer: "}
				try_out="$try_out${nl}ISSUER ${try_more%%"$nl"*}"
				;;
			esac
			;;
		7,*)
			# What the kernel said it tells only so.
			try_more=$(printf '%s' "$try_proxy$6" | curl -q -K - -p -v -sS -m $try_again -o /dev/null "$try_scheme://$2:$3$4" 2>&1)
			case $try_more in *" failed: "*)
				try_more=${try_more#*" failed: "}
				try_out="$try_out${nl}KERNEL ${try_more%%"$nl"*}"
				;;
			esac
			;;
		esac
	elif [ "$4" != - ] && [ -z "$6" ] && has openssl && has timeout; then
		try_tool=openssl
		try_name=${2#\[} try_name=${try_name%\]}
		try_eof=
		if [ "$4" != / ]; then try_eof=-ign_eof; fi # the answer ends it, not the question
		try_out=$(if [ "$4" != / ]; then printf 'GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: runai-prep\r\nConnection: close\r\n\r\n' "$4" "$2:$3"; fi |
			timeout $try_time openssl s_client $try_eof -connect "$2:$3" -servername "$try_name" -verify_hostname "$try_name" -verify_return_error ${5:+-proxy "$5"} 2>&1)
		try_exit=$?
	elif [ -z "$5" ] && has bash && has timeout; then
		try_tool=bash
		try_name=${2#\[} try_name=${try_name%\]}
		try_out=$(timeout $try_time bash -c '(: <"/dev/tcp/$1/$2")' bash "$try_name" "$3" 2>&1)
		try_exit=$?
	else
		try_tool=none try_exit=127 try_out=
	fi
	flat "$try_out"
	printf '%s %s %s %s\n' "$1" "$try_tool" "$try_exit" "${flat#; }"
}
`

// reachByTools asks the host's own tools for the endpoints to which nothing was
// forwarded.
func (c *Conn) reachByTools(ctx context.Context, endpoints []Endpoint, found []Reached) {
	limit := min(toolsLimit+c.dialer.patience, left(ctx)-time.Second)
	if limit < 3*time.Second {
		return
	}
	var script strings.Builder
	fmt.Fprintf(&script, "%suptime\ntry_most=%d try_end=$((up + %d)) try_again=%d\n", toolsScript, limit*2/3/time.Second, (limit-time.Second)/time.Second, limit/4/time.Second+1)
	tried := false
	for i, e := range endpoints {
		if found[i].Barrier != Forbidden || e.Image != nil { // no tool of the host reads images
			continue
		}
		tried = true
		path, proxy, config, host, schemes := "/", "", "", e.Host, "https"
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		switch {
		case e.Registry:
			path = "/v2/"
		case e.Plain:
			path = "-"
		}
		if e.Proxy != nil {
			proxy = e.Proxy.address()
			if e.Proxy.Username != "" {
				config = "proxy-user = \"" + curlEscaper.Replace(e.Proxy.Username+":"+e.Proxy.Password.Reveal()) + "\"\n"
			}
		}
		if e.Insecure {
			config, schemes = config+"insecure\n", "https http"
		}
		fmt.Fprintf(&script, "{ try %d %s %d %s %s %s %s; } &\n", i, quoteScript(host), e.Port, path, quoteScript(proxy), quoteScript(config), quoteScript(schemes))
	}
	if !tried {
		return
	}
	script.WriteString("wait\n")
	// What was printed until the time was up counts, as in a look.
	section, room := make([]Section, 1), maxLook
	if _, err := c.lookFrom(ctx, "", []Probe{{Name: "reach", Script: script.String(), Timeout: limit + 500*time.Millisecond}}, section, 0, &room); err != nil {
		return // what was found stays: nothing is forwarded
	}
	if section[0].Failure != "" {
		defer func() {
			for i := range found {
				if found[i].Barrier == Forbidden {
					found[i].Barrier, found[i].Said = Lost, "the host's sshd forwards nothing, and its programs took too long"
				}
			}
		}()
	}
	for line := range strings.Lines(section[0].Out) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 4)
		if len(fields) < 3 {
			continue
		}
		i, err1 := strconv.Atoi(fields[0])
		exit, err2 := strconv.Atoi(fields[2])
		if err1 != nil || err2 != nil || i < 0 || i >= len(found) || found[i].Barrier != Forbidden {
			continue
		}
		words := append(fields, "")[3]
		found[i] = toolSaid(endpoints[i], found[i], fields[1], exit, words)
	}
}

var curlEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

var (
	curlCodes    = regexp.MustCompile(`HTTP (\d{3}) (\d{3}) ?([^;]*)`)
	curlSent     = regexp.MustCompile(`SENT (\S+?)(?:;|$)`)
	curlIssuer   = regexp.MustCompile(`ISSUER (.*)`)
	curlKernel   = regexp.MustCompile(`KERNEL ([^;]*)`)
	curlSaid     = regexp.MustCompile(`curl: \(\d+\) ([^;]*)`)
	anIssuer     = regexp.MustCompile(` i: ?([^;]*)`)
	httpStatus   = regexp.MustCompile(`HTTP/1\.[01] (\d{3})([^;]*)`)
	httpLocation = regexp.MustCompile(`(?i); location: *([^;]*)`)
	httpKind     = regexp.MustCompile(`(?i); content-type: *([^;]*)`)
	commonName   = regexp.MustCompile(`CN ?= ?([^,;/]+)`)
)

// toolSaid is what a tool's words and exit status mean.
func toolSaid(e Endpoint, was Reached, tool string, exit int, words string) Reached {
	r := e.triedBy(tool + " on the host")
	r.Said = Safe(tail(words, 300))
	said := func(b Barrier) Reached { r.Barrier = b; return r }
	issuer := func(re *regexp.Regexp) {
		if m := re.FindStringSubmatch(words); m != nil {
			r.Issuer = Safe(tail(m[1], 200))
			if cn := commonName.FindStringSubmatch(m[1]); cn != nil {
				r.Issuer = Safe(strings.TrimSpace(cn[1]))
			}
		}
	}
	switch tool {
	case "curl":
		issuer(curlIssuer)
		if m := curlSaid.FindStringSubmatch(words); m != nil {
			r.Said = Safe(tail(m[1], 300))
		}
		connect, kind, location := 0, "", ""
		if m := curlCodes.FindStringSubmatch(words); m != nil {
			r.Status, _ = strconv.Atoi(m[1])
			connect, _ = strconv.Atoi(m[2])
			kind = m[3]
		}
		if m := curlSent.FindStringSubmatch(words); m != nil {
			location = m[1]
		}
		against := notRegistry(strings.TrimSpace(fmt.Sprint(r.Status, " ", http.StatusText(r.Status))), kind, location)
		switch {
		case e.Proxy != nil && connect >= 300:
			r.Status = connect
			return said(ByProxy)
		case exit == 5 || exit == 6:
			r.Proxy = exit == 5
			return said(NoName)
		case exit == 7:
			r.Proxy = e.Proxy != nil
			if m := curlKernel.FindStringSubmatch(words); m != nil {
				r.Said = Safe(tail(m[1], 300))
			}
			if b := barrierIn(words); b != "" {
				return said(b)
			}
			return said(Refused)
		case exit == 28:
			return said(Silence)
		case e.Proxy != nil && (exit == 56 || exit == 97):
			return said(ByProxy)
		case exit == 35 || exit == 56:
			return said(NoTLS)
		case exit == 60 && len(e.Roots) > 0:
			r.Said += "; the authorities that are wished for it are not given to curl"
			return said(Unproved)
		case exit == 52:
			return said(Answer)
		case exit != 0:
			return said(NotTrusted)
		case e.Registry && against != nil:
			r.Said = Safe(against.Error())
			return said(Answer)
		}
		r.Said = ""
		if !e.Registry {
			r.Status = 0
		}
		return r
	case "openssl":
		issuer(anIssuer)
		answered := httpStatus.FindStringSubmatch(words)
		switch b := barrierIn(words); {
		case e.Registry && answered != nil:
			r.Status, _ = strconv.Atoi(answered[1])
			r.Said = ""
			if err := notRegistry(strings.TrimSpace(answered[1]+answered[2]), header(httpKind, words), header(httpLocation, words)); err != nil {
				r.Said = Safe(err.Error())
				return said(Answer)
			}
			return r
		case e.Registry && exit == 0:
			r.Said = "its answer is not HTTP"
			return said(Answer)
		case exit == 0:
			r.Said = ""
			return r
		case exit == 124:
			return said(Silence)
		case b != "":
			r.Proxy = e.Proxy != nil
			return said(b)
		case strings.Contains(words, "proxy") || strings.Contains(words, "CONNECT failed"):
			return said(ByProxy)
		case r.Issuer == "":
			return said(NoTLS)
		}
		return said(NotTrusted)
	case "bash":
		switch b := barrierIn(words); {
		case exit == 0 && e.Plain:
			r.Said = ""
			return r
		case exit == 0:
			r.Said = "the host has neither curl nor openssl"
			return said(Unproved)
		case exit == 124:
			return said(Silence)
		case b != "":
			return said(b)
		}
		return said(NoRoute)
	}
	was.Said += "; the host has neither curl nor openssl"
	return was
}

// header is what an answer has in a header; empty: nothing.
func header(re *regexp.Regexp, words string) string {
	if m := re.FindStringSubmatch(words); m != nil {
		return strings.TrimSpace(m[1])
	}
	return ""
}

// barrierIn finds the barrier in a program's or an SSH server's words; empty:
// they tell of none.
func barrierIn(words string) Barrier {
	for _, b := range []struct {
		words   string
		barrier Barrier
	}{
		{"not known", NoName}, {"name resolution", NoName}, {"No address", NoName}, {"resolving name", NoName}, {"resolve host", NoName},
		{"nvalid argument", NoName}, {"refused", Refused}, {"timed out", Silence}, {"No route", NoRoute}, {"unreachable", NoRoute},
	} {
		if strings.Contains(words, b.words) {
			return b.barrier
		}
	}
	return ""
}
