# boot.sh DISK OUT: what the firmware and the boot loader of a machine do: the
# newest kernel on DISK and its initramfs, to OUT/vmlinuz and OUT/initrd.
set -eu
disk=$1 out=$2
e2fsck -p "$disk" >/dev/null 2>&1 || [ $? -le 1 ]
kernel=$(debugfs -R 'ls -p /boot' "$disk" 2>/dev/null | tr / '\n' | grep '^vmlinuz-' | sort -V | tail -n 1)
debugfs -R "dump /boot/$kernel $out/vmlinuz" "$disk" 2>/dev/null
debugfs -R "dump /boot/initrd.img-${kernel#vmlinuz-} $out/initrd" "$disk" 2>/dev/null
[ -s "$out/vmlinuz" ] && [ -s "$out/initrd" ]
