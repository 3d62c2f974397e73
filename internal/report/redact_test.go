package report

import "testing"

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"http_proxy=user:pw@old:3128":                "http_proxy=(sensitive)@old:3128",
		"http_proxy is user:pw@old:3128":             "http_proxy is (sensitive)@old:3128",
		"HTTPS_PROXY=http://user:pw@old:3128":        "HTTPS_PROXY=http://(sensitive)@old:3128",
		"AWS_SECRET_ACCESS_KEY=abc/def":              "AWS_SECRET_ACCESS_KEY=(sensitive)",
		"NGC_API_KEY=abc":                            "NGC_API_KEY=(sensitive)",
		"GITHUB_TOKEN='a b'":                         "GITHUB_TOKEN=(sensitive)",
		"PATH=/usr/bin:/bin":                         "PATH=/usr/bin:/bin",
		"nas:/export@old /mnt/data nfs defaults 0 0": "nas:/export@old /mnt/data nfs defaults 0 0",
		"signed-by=/etc/apt/keyrings/lab.asc":        "signed-by=/etc/apt/keyrings/lab.asc",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}
