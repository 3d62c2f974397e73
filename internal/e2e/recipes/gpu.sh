# Inside a layer on kernel.sh, with the modules of gpu-modules.sh in /mnt: a
# machine with GPUs, which nouveau takes from within the initramfs.
k=$(ls /lib/modules)
mkdir -p "/lib/modules/$k/kernel/drivers/gpu/drm/nouveau"
cp /mnt/gpu/e2e-gpu.ko "/lib/modules/$k/kernel/drivers/"
cp /mnt/gpu/nouveau.ko "/lib/modules/$k/kernel/drivers/gpu/drm/nouveau/"
depmod "$k"
echo e2e-gpu >> /etc/initramfs-tools/modules
# Put there, not loaded: that is udev's to do, by what the PCI bus says.
cat > /etc/initramfs-tools/hooks/e2e-nouveau <<'H'
#!/bin/sh
[ "$1" != prereqs ] || exit 0
. /usr/share/initramfs-tools/hook-functions
manual_add_modules nouveau
H
chmod 755 /etc/initramfs-tools/hooks/e2e-nouveau
update-initramfs -u -k "$k"
