package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/runai-prep/runai-prep/internal/secret"
)

// A struct with an unexported secret is the case that fmt reaches by
// reflection, past the String method.
type holder struct {
	Public secret.Text
	hidden secret.Text
}

func TestNothingShowsASecret(t *testing.T) {
	const text = "hunter2"
	h := holder{secret.New(text), secret.New(text)}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("dial", "password", h.Public, "all", h)
	slog.New(slog.NewTextHandler(&log, nil)).Info("dial", "password", h.Public, "all", h)
	js, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	shown := []string{log.String(), string(js), h.Public.String(), fmt.Errorf("x: %w", fmt.Errorf("%v", h)).Error()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown = append(shown, fmt.Sprintf(verb, h.Public), fmt.Sprintf(verb, &h.Public), fmt.Sprintf(verb, []secret.Text{h.Public}))
	}
	for _, s := range shown {
		if strings.Contains(s, text) || strings.Contains(s, "68756e746572") {
			t.Errorf("shows the secret: %s", s)
		}
	}
	if got := fmt.Sprintf("%v", h.Public); got != secret.Shown {
		t.Errorf("got %q, want the placeholder", got)
	}
	if h.Public.Reveal() != text {
		t.Error("Reveal lost the secret")
	}
}
