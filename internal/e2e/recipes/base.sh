# base.sh OUT MIRROR SUITE: a small Debian with systemd, sshd and three people.
# No Python on purpose: a host needs sshd and /bin/sh, nothing else. netbase is
# everywhere; without its /etc/protocols NFS 3 says "Protocol not supported".
set -eu
out=$1 mirror=$2 suite=$3

# path-exclude would halve the size, but sends every package through a slow
# filter; the man pages and locales are removed afterwards instead.
mmdebstrap --quiet --variant=minbase --mode=root \
  --include=systemd,systemd-sysv,dbus,openssh-server,sudo,ca-certificates,netbase,kmod,iproute2,procps,e2fsprogs \
  --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Languages "none"' \
  --dpkgopt='force-unsafe-io' \
  --customize-hook='rm -rf "$1"/usr/share/man/* "$1"/usr/share/locale/*' \
  "$suite" "$out" "deb $mirror $suite main"

rm -f "$out"/etc/apt/sources.list "$out"/etc/apt/sources.list.d/*
printf 'Acquire::Check-Valid-Until "false";\nAcquire::Languages "none";\n' > "$out/etc/apt/apt.conf.d/99e2e"
echo force-unsafe-io > "$out/etc/dpkg/dpkg.cfg.d/e2e"

# root and ops as on many sites; pat is asked for a password by sudo.
chroot "$out" useradd -m -s /bin/bash ops
chroot "$out" useradd -m -s /bin/sh pat
echo 'pat:correct horse' | chroot "$out" chpasswd
echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' > "$out/etc/sudoers.d/ops"
echo 'pat ALL=(ALL:ALL) ALL' > "$out/etc/sudoers.d/pat"
chmod 440 "$out"/etc/sudoers.d/*
printf 'UseDNS no\nMaxStartups 500:30:1000\n' > "$out/etc/ssh/sshd_config.d/e2e.conf"

# Every machine brings its own: a shared one would hide mix-ups.
rm -f "$out"/etc/ssh/ssh_host_*
: > "$out/etc/machine-id"
: > "$out/etc/resolv.conf"
chroot "$out" systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service getty.target console-getty.service >/dev/null 2>&1
chroot "$out" systemctl enable ssh >/dev/null 2>&1
chmod 755 "$out"
