# Endpoints.
egress {
  allow = ["https://quay.io", "quay.io:0", "*.quay.io", "gcr.io/run-ai-prod", "a b", "registry:5000", 5] # ERROR Invalid allow: "https://quay.io" is a URL; write host or host:port, such as quay.io or registry.example.com:5000. # ERROR Invalid allow: "0" is not a port; use a number from 1 to 65535. # ERROR Invalid allow: "*.quay.io" is a pattern, which cannot be looked at from a host; name each host. # ERROR Invalid allow: "a b" holds a blank; remove it. # ERROR Invalid allow: "5" is not an IP address; write four numbers up to 255, such as 10.0.1.5.
  skip  = ["hub.docker.com", "hub.doker.com", "quay.io:80"] # WARNING Nothing to skip: The profile "runai-2020" has no endpoint "hub.doker.com". Did you mean "hub.docker.com"? # WARNING Nothing to skip: The profile "runai-2020" has no endpoint "quay.io:80". Did you mean "quay.io"?
}
host "a" {}
