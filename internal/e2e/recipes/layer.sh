# layer.sh OUT LOWER MIRROR SUITE COMMAND [FOLDER]: OUT becomes what COMMAND
# changes on LOWER (an overlay's lowerdir) when run in a chroot with the machine's
# network, and with FOLDER at /mnt.
# To be run in a mount namespace of its own: the mounts end with it.
set -eu
out=$1 lower=$2 mirror=$3 suite=$4 command=$5
folder=${6:-}
work=$out.work; merged=$out.merged
rm -rf --one-file-system "$work" "$merged"; mkdir -p "$work" "$merged"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$out,workdir=$work" "$merged"
mount -t proc proc "$merged/proc"
mount -t sysfs -o ro sysfs "$merged/sys"
mount --rbind /dev "$merged/dev"
[ -z "$folder" ] || mount --bind "$folder" "$merged/mnt"
cat /etc/resolv.conf > "$merged/etc/resolv.conf"
echo "deb $mirror $suite main" > "$merged/etc/apt/sources.list"
# Nothing a package installs may start here.
printf '#!/bin/sh\nexit 101\n' > "$merged/usr/sbin/policy-rc.d"; chmod 755 "$merged/usr/sbin/policy-rc.d"
DEBIAN_FRONTEND=noninteractive chroot "$merged" /bin/sh -euc "$command"
rm -f "$merged/usr/sbin/policy-rc.d" "$merged/etc/apt/sources.list"
rm -rf "$merged"/var/lib/apt/lists/* "$merged"/tmp/*
: > "$merged/etc/resolv.conf"
umount -R "$merged"; rmdir "$merged"; rm -rf --one-file-system "$work"
