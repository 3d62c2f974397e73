# site.sh OUT VERSION: the driver as a site may pack it for itself: three packages
# in one flat archive, nothing of what Debian's has beside them, a small module
# that DKMS really builds, and an nvidia-smi that is a script.
set -eu
out=$1 v=$2
tree=$(mktemp -d); trap 'rm -rf "$tree"' EXIT
mkdir -p "$out"

package() { # NAME DEPENDS
  mkdir -p "$tree/$1/DEBIAN"
  printf 'Package: %s\nVersion: %s-1\nArchitecture: amd64\nMaintainer: site <site@localhost>\nSection: non-free/kernel\nDepends: %s\nDescription: the driver as a site packs it\n' \
    "$1" "$v" "$2" > "$tree/$1/DEBIAN/control"
  dpkg-deb --root-owner-group -Znone -b "$tree/$1" "$out/$1_$v-1_amd64.deb" >/dev/null
}

source=$tree/nvidia-kernel-dkms/usr/src/nvidia-current-$v
mkdir -p "$source" "$tree/nvidia-kernel-dkms/DEBIAN" "$tree/nvidia-kernel-dkms/etc/modprobe.d"
cat > "$source/nvidia.c" <<C
#include <linux/module.h>
static int __init nvidia_init(void) { return 0; }
static void __exit nvidia_exit(void) {}
module_init(nvidia_init);
module_exit(nvidia_exit);
MODULE_LICENSE("NVIDIA");
MODULE_VERSION("$v");
C
echo 'obj-m := nvidia.o' > "$source/Makefile"
cat > "$source/dkms.conf" <<C
PACKAGE_NAME="nvidia-current"
PACKAGE_VERSION="$v"
AUTOINSTALL=yes
MAKE[0]="make -C /lib/modules/\${kernelver}/build M=\$dkms_tree/\$PACKAGE_NAME/\$PACKAGE_VERSION/build modules"
CLEAN="true"
BUILT_MODULE_NAME[0]="nvidia"
DEST_MODULE_NAME[0]="nvidia-current"
DEST_MODULE_LOCATION[0]="/updates/dkms"
C
cat > "$tree/nvidia-kernel-dkms/DEBIAN/postinst" <<C
#!/bin/sh
set -e
[ "\$1" = configure ] || exit 0
/usr/lib/dkms/common.postinst nvidia-current $v "" "" "\$2"
C
cat > "$tree/nvidia-kernel-dkms/DEBIAN/prerm" <<C
#!/bin/sh
set -e
case "\$1" in remove|upgrade|deconfigure) dkms remove -m nvidia-current -v $v --all >/dev/null 2>&1 || true ;; esac
C
chmod 755 "$tree/nvidia-kernel-dkms/DEBIAN/postinst" "$tree/nvidia-kernel-dkms/DEBIAN/prerm"
echo 'alias nvidia nvidia-current' > "$tree/nvidia-kernel-dkms/etc/modprobe.d/nvidia.conf"
package nvidia-kernel-dkms 'dkms, kmod'

mkdir -p "$tree/nvidia-smi/usr/bin"
cat > "$tree/nvidia-smi/usr/bin/nvidia-smi" <<C
#!/bin/sh
echo "| NVIDIA-SMI $v   Driver Version: $v   CUDA Version: 12.2 |"
C
chmod 755 "$tree/nvidia-smi/usr/bin/nvidia-smi"
package nvidia-smi libc6
package nvidia-driver "nvidia-kernel-dkms (= $v-1), nvidia-smi (= $v-1)"
