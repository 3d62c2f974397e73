# toolkit.sh OUT VERSION...: look-alikes of NVIDIA's packages of the Container Toolkit,
# named and depending on each other as NVIDIA's are. nvidia-ctk in them is the real
# one, built from its module; what runs containers is a script that only says who
# it is.
set -eu
out=$1; shift
mkdir -p "$out"
tree=
trap 'rm -rf "$tree"' EXIT

package() { # NAME DEPENDS
  mkdir -p "$tree/$1/DEBIAN"
  printf 'Package: %s\nVersion: %s-1\nArchitecture: amd64\nMaintainer: e2e <e2e@localhost>\nSection: utils\nDepends: %s\nDescription: look-alike of %s\n' \
    "$1" "$v" "$2" "$1" > "$tree/$1/DEBIAN/control"
  chmod -R u=rwX,go=rX "$tree/$1"
  dpkg-deb --root-owner-group -Znone -b "$tree/$1" "$out/$1_$v-1_amd64.deb" >/dev/null
}

program() { # PATH: a script that says who it is
  mkdir -p "${1%/*}"
  printf '#!/bin/sh\necho "%s version %s"\n' "${1##*/}" "$v" > "$1"
  chmod 755 "$1"
}

for v; do
  tree=$(mktemp -d)
  GOBIN="$tree/nvidia-container-toolkit-base/usr/bin" go install -p 1 \
    -ldflags "-s -w -X github.com/NVIDIA/nvidia-container-toolkit/internal/info.version=$v" "github.com/NVIDIA/nvidia-container-toolkit/cmd/nvidia-ctk@v$v"
  program "$tree/nvidia-container-toolkit-base/usr/bin/nvidia-container-runtime"
  package nvidia-container-toolkit-base 'libc6'
  program "$tree/libnvidia-container-tools/usr/bin/nvidia-container-cli"
  package libnvidia-container1 'libc6'
  package libnvidia-container-tools "libnvidia-container1 (>= $v-1)"
  program "$tree/nvidia-container-toolkit/usr/bin/nvidia-container-runtime-hook"
  package nvidia-container-toolkit "nvidia-container-toolkit-base (= $v-1), libnvidia-container-tools (>= $v-1)"
  rm -rf "$tree"
done
