# kube-apiserver.sh OUT: OUT/kube-apiserver and OUT/etcd, Kubernetes' and etcd's own,
# built from their modules. The modules that Kubernetes stages have its version.
set -eu
out=$1 kubernetes=1.34.2 etcd=3.6.13
work=$(mktemp -d); trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod CGO_ENABLED=0
gomod=$(go mod download -json "k8s.io/kubernetes@v$kubernetes" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
{
  printf 'module cluster\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$kubernetes"
  sed -n 's/^[[:space:]]*\(k8s\.io\/[^ ]*\) v0\.0\.0$/\1/p' "$gomod" | sort -u | while read -r m; do printf '\t%s => %s v0.%s\n' "$m" "$m" "${kubernetes#1.}"; done
  echo ')'
} > go.mod
printf '//go:build tools\n\npackage cluster\n\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver"\n' > tools.go
echo 'package cluster' > cluster.go
go mod tidy
minor=${kubernetes#1.}
version=k8s.io/component-base/version
go build -ldflags "-s -w -X $version.gitVersion=v$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%.*}" \
  -o "$out/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver
mkdir etcd; cd etcd # a module of its own, with versions of its own
printf 'module etcd\n\ngo 1.24.0\n\nrequire go.etcd.io/etcd/server/v3 v%s\n' "$etcd" > go.mod
printf '//go:build tools\n\npackage etcd\n\nimport _ "go.etcd.io/etcd/server/v3"\n' > tools.go
echo 'package etcd' > etcd.go
go mod tidy
go build -ldflags '-s -w' -o "$out/etcd" go.etcd.io/etcd/server/v3
