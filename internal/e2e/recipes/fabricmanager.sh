# fabricmanager.sh OUT VERSION REVISION: a look-alike of NVIDIA's package of the
# fabric manager, named for its branch, in OUT. As the real one, it ends where the
# driver that is loaded is not of the very same version.
set -eu
out=$1 v=$2 rev=$3 branch=${2%%.*}
mkdir -p "$out"
tree=$(mktemp -d); trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/DEBIAN" "$tree/usr/bin" "$tree/lib/systemd/system"
cat > "$tree/DEBIAN/control" <<C
Package: nvidia-fabricmanager-$branch
Version: $v-$rev
Architecture: amd64
Maintainer: e2e <e2e@localhost>
Section: multiverse/devel
Priority: optional
Provides: nvidia-fabricmanager
Conflicts: nvidia-fabricmanager
Description: look-alike of nvidia-fabricmanager-$branch
C
cat > "$tree/usr/bin/nv-fabricmanager" <<C
#!/bin/sh
read -r line 2>/dev/null < /proc/driver/nvidia/version || { echo "fabric manager: no driver is loaded" >&2; exit 1; }
case " \$line " in *" $v "*) ;; *) echo "fabric manager NVIDIA GPU driver interface version $v don't match with driver version: \$line" >&2; exit 1 ;; esac
exec sleep infinity
C
chmod 755 "$tree/usr/bin/nv-fabricmanager"
cat > "$tree/lib/systemd/system/nvidia-fabricmanager.service" <<'C'
[Unit]
Description=NVIDIA fabric manager service (stand-in)
[Service]
ExecStart=/usr/bin/nv-fabricmanager
[Install]
WantedBy=multi-user.target
C
# NVIDIA's neither starts nor enables it.
printf '#!/bin/sh\nset -e\n[ ! -d /run/systemd/system ] || systemctl --system daemon-reload\n' > "$tree/DEBIAN/postinst"
cat > "$tree/DEBIAN/prerm" <<'C'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl stop nvidia-fabricmanager.service || true; fi
C
chmod 755 "$tree"/DEBIAN/p*
chmod -R u=rwX,go=rX "$tree"
dpkg-deb --root-owner-group -Znone -b "$tree" "$out/nvidia-fabricmanager-${branch}_$v-${rev}_amd64.deb" >/dev/null
