//go:build linux

package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
)

// A boxProxy is a proxy with a will of its own: it wants a login, forbids names,
// or looks into TLS. What it lets through it answers itself, as if it were the
// server.
type boxProxy struct {
	login  string            // user:password that it wants; empty: none
	forbid map[string]string // by name: its words
	as     *tls.Config       // whose certificates it shows
	world  http.Handler      // what it answers in the servers' place
}

func (p *boxProxy) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go p.talk(conn)
	}
}

func (p *boxProxy) talk(conn net.Conn) {
	defer conn.Close()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	refuse := func(status, header string) {
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\nServer: BlueBox/4.2\r\n%sContent-Length: 3\r\nConnection: close\r\n\r\nno\n", status, header)
	}
	host, _, _ := net.SplitHostPort(request.Host)
	words, forbidden := p.forbid[host]
	wanted := "Basic " + base64.StdEncoding.EncodeToString([]byte(p.login))
	switch {
	case request.Method != http.MethodConnect:
		refuse("405 Tunnels only", "")
	case p.login != "" && request.Header.Get("Proxy-Authorization") != wanted:
		refuse("407 Who are you", "Proxy-Authenticate: Basic realm=\"Blue Box\"\r\n")
	case forbidden:
		refuse("403 "+words, "X-Squid-Error: ERR_ACCESS_DENIED 0\r\n")
	default:
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
		secured := tls.Server(conn, p.as)
		inner, err := http.ReadRequest(bufio.NewReader(secured))
		if err != nil {
			return
		}
		answer := httptest.NewRecorder()
		p.world.ServeHTTP(answer, inner)
		response := answer.Result()
		response.Close = true
		_ = response.Write(secured)
		_ = secured.Close()
	}
}
