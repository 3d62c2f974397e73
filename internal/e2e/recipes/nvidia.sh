# nvidia.sh OUT VERSION REVISION KIND: look-alikes of Debian's NVIDIA packages of
# VERSION (535.261.03) and REVISION (1, 0+deb12u1), in OUT/contrib and
# OUT/non-free as Debian has them. Names, versions and what depends on what are
# Debian's. The module is a small one of our own that dkms really builds and a
# kernel really loads: it binds the GPUs on the PCI bus, answers on /dev/nvidia*
# (so that a process can hold it), and makes /proc/driver/nvidia/version.
# KIND: good; noload: the module builds, and loading it fails; nobuild: it does not
# build; slow: the installation stops in the middle until there is /run/e2e-go.
# nvidia-smi is a script that compares the module's version with its own.
set -eu
out=$1 v=$2 rev=$3 kind=$4 branch=${2%%.*}
mkdir -p "$out/contrib" "$out/non-free"
tree=$(mktemp -d); trap 'rm -rf "$tree"' EXIT
lib=usr/lib/x86_64-linux-gnu/nvidia/current

# package COMPONENT NAME VERSION DEPENDS [FIELD...]: packs $tree/NAME.
package() {
  component=$1 name=$2 version=$3 depends=$4; shift 4
  mkdir -p "$tree/$name/DEBIAN"
  {
    printf 'Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: e2e <e2e@localhost>\n' "$name" "$version"
    printf 'Section: non-free/kernel\nPriority: optional\n'
    [ -z "$depends" ] || printf 'Depends: %s\n' "$depends"
    for field; do printf '%s\n' "$field"; done
    printf 'Description: look-alike of %s\n' "$name"
  } > "$tree/$name/DEBIAN/control"
  chmod -R u=rwX,go=rX "$tree/$name"
  dpkg-deb --root-owner-group -Znone -b "$tree/$name" "$out/$component/${name}_${version}_amd64.deb" >/dev/null
}

# source DIR PACKAGE LICENSE BANNER: the DKMS source of one flavour.
source() {
  dir=$1 package=$2 license=$3 banner=$4
  mkdir -p "$dir"
  init='return pci_register_driver(&gpu);'
  case $kind in
    noload) init='pr_err("NVRM: RmInitAdapter failed! (0x62:0x40:1784)\n"); return -EIO;' ;;
    nobuild) init='return this_kernel_has_no_such_function(&gpu);' ;;
  esac
  cat > "$dir/nvidia.c" <<C
/* Only what NVIDIA's own module may use, too: no symbol for the GPL alone. */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

static struct proc_dir_entry *dir;

static int version_show(struct seq_file *m, void *v)
{
	seq_puts(m, "NVRM version: $banner  $v  Tue Nov 24 12:00:00 UTC 2026\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n");
	return 0;
}

static const struct file_operations fops = { .owner = THIS_MODULE };

static int probe(struct pci_dev *dev, const struct pci_device_id *id) { return 0; }
static void remove(struct pci_dev *dev) {}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(0x10de, PCI_ANY_ID), .class = 0x030000, .class_mask = 0xffff00 },
	{ PCI_DEVICE(0x10de, PCI_ANY_ID), .class = 0x030200, .class_mask = 0xffff00 },
	{}
};
MODULE_DEVICE_TABLE(pci, ids);
static struct pci_driver gpu = { .name = "nvidia", .id_table = ids, .probe = probe, .remove = remove };

int nvidia_users(void) { return 0; }
EXPORT_SYMBOL(nvidia_users);

static int start(void)
{
	$init
}

static int __init nvidia_init(void)
{
	int err = register_chrdev(195, "nvidia", &fops);

	if (err < 0)
		return err;
	dir = proc_mkdir("driver/nvidia", NULL);
	if (dir)
		proc_create_single("version", 0444, dir, version_show);
	err = start();
	if (err) {
		proc_remove(dir);
		unregister_chrdev(195, "nvidia");
	}
	return err;
}

static void __exit nvidia_exit(void)
{
	pci_unregister_driver(&gpu);
	proc_remove(dir);
	unregister_chrdev(195, "nvidia");
}

module_init(nvidia_init);
module_exit(nvidia_exit);
MODULE_LICENSE("$license");
MODULE_VERSION("$v");
C
  cat > "$dir/nvidia-uvm.c" <<C
#include <linux/module.h>

int nvidia_users(void);
static int __init uvm_init(void) { return nvidia_users(); }
static void __exit uvm_exit(void) {}

module_init(uvm_init);
module_exit(uvm_exit);
MODULE_LICENSE("$license");
MODULE_VERSION("$v");
C
  printf 'obj-m := nvidia.o nvidia-uvm.o\n' > "$dir/Makefile"
  cat > "$dir/dkms.conf" <<C
PACKAGE_NAME="$package"
PACKAGE_VERSION="$v"
AUTOINSTALL=yes
MAKE[0]="make -C \$kernel_source_dir M=\$dkms_tree/\$PACKAGE_NAME/\$PACKAGE_VERSION/build modules"
CLEAN="true"
BUILT_MODULE_NAME[0]="nvidia"
DEST_MODULE_NAME[0]="$package"
DEST_MODULE_LOCATION[0]="/updates/dkms"
BUILT_MODULE_NAME[1]="nvidia-uvm"
DEST_MODULE_NAME[1]="$package-uvm"
DEST_MODULE_LOCATION[1]="/updates/dkms"
C
}

# dkms NAME PACKAGE: the scripts that Debian's dh_dkms makes.
dkms() {
  mkdir -p "$tree/$1/DEBIAN"
  cat > "$tree/$1/DEBIAN/postinst" <<C
#!/bin/sh
set -e
if [ "\$1" = configure ] && [ -e /usr/lib/dkms/common.postinst ]; then
	/usr/lib/dkms/common.postinst $2 $v "" "" "\$2"
fi
C
  cat > "$tree/$1/DEBIAN/prerm" <<C
#!/bin/sh
set -e
case "\$1" in remove|upgrade|deconfigure)
	[ "\$(dkms status -m $2 -v $v)" = "" ] || dkms remove -m $2 -v $v --all ;;
esac
C
  chmod 755 "$tree/$1"/DEBIAN/p*
}

source "$tree/nvidia-kernel-dkms/usr/src/nvidia-current-$v" nvidia-current NVIDIA "NVIDIA UNIX x86_64 Kernel Module"
dkms nvidia-kernel-dkms nvidia-current
package non-free nvidia-kernel-dkms "$v-$rev" "firmware-nvidia-gsp (= $v) | firmware-nvidia-gsp-$v, nvidia-kernel-support--v1, dkms (>= 3.0.3-4~)" \
  "Pre-Depends: nvidia-installer-cleanup" "Provides: nvidia-kernel-$v, nvidia-kernel-dkms-any (= $v)"
# Debian's security archive has no open flavour.
case $rev in *deb12u*) ;; *)
  source "$tree/nvidia-open-kernel-dkms/usr/src/nvidia-current-open-$v" nvidia-current-open "Dual MIT/GPL" "NVIDIA UNIX Open Kernel Module for x86_64"
  dkms nvidia-open-kernel-dkms nvidia-current-open
  package contrib nvidia-open-kernel-dkms "$v-$rev" "firmware-nvidia-gsp (= $v) | firmware-nvidia-gsp-$v, nvidia-open-kernel-support--v1, dkms (>= 3.0.3-4~)" \
    "Pre-Depends: nvidia-installer-cleanup" "Provides: nvidia-open-kernel-$v, nvidia-open-kernel-dkms-any (= $v)" ;;
esac

# support NAME MODULE OTHER: how the kernel finds the module under NVIDIA's own
# names: Debian's lines. It leaves out Debian's blacklist of nouveau, for most
# packages elsewhere have none.
support() {
  mkdir -p "$tree/$1/etc/modprobe.d" "$tree/$1/etc/modules-load.d" "$tree/$1/DEBIAN"
  cat > "$tree/$1/etc/modprobe.d/nvidia.conf" <<C
install nvidia modprobe -i $2 \$CMDLINE_OPTS
install nvidia-uvm modprobe nvidia ; modprobe -i $2-uvm \$CMDLINE_OPTS
# unloading needs the internal names (i.e. upstream's names, not our renamed files)
remove nvidia modprobe -r -i nvidia-uvm nvidia
alias char-major-195* nvidia
alias	pci:v000010DEd*sv*sd*bc03sc02i00*		nvidia
alias	pci:v000010DEd*sv*sd*bc03sc00i00*		nvidia
C
  echo nvidia-uvm > "$tree/$1/etc/modules-load.d/nvidia.conf"
  printf '/etc/modprobe.d/nvidia.conf\n/etc/modules-load.d/nvidia.conf\n' > "$tree/$1/DEBIAN/conffiles"
  package non-free "$1" "$v-$rev" "nvidia-alternative (= $v-$rev), nvidia-kernel-common, nvidia-modprobe (>= $branch)" \
    "Provides: $1--v1, $1-any" "Conflicts: $3"
}
support nvidia-kernel-support nvidia-current nvidia-open-kernel-support
support nvidia-open-kernel-support nvidia-current-open nvidia-kernel-support

package non-free firmware-nvidia-gsp "$v-$rev" "" "Provides: firmware-nvidia-gsp-$v"
package non-free nvidia-alternative "$v-$rev" "" "Provides: nvidia-alternative--kmod-alias, nvidia-alternative-any"
# so NAME FILE: an empty library whose name says its version.
so() {
  mkdir -p "$tree/$1/$lib"
  : > "$tree/$1/$lib/$2.$v"; ln -s "$2.$v" "$tree/$1/$lib/$2.1"
}
so libnvidia-ml1 libnvidia-ml.so; package non-free libnvidia-ml1 "$v-$rev" "nvidia-alternative (= $v-$rev)" "Provides: libnvidia-ml.so.1 (= $v)"
so libnvidia-cfg1 libnvidia-cfg.so; package non-free libnvidia-cfg1 "$v-$rev" "nvidia-alternative (= $v-$rev)" "Provides: libnvidia-cfg.so.1, libnvidia-cfg1-any"
so libcuda1 libcuda.so; package non-free libcuda1 "$v-$rev" "nvidia-support, nvidia-alternative (= $v-$rev)" "Provides: libcuda.so.1 (= $v), libcuda1-any"

case $branch in 535) cuda=12.2 ;; 550) cuda=12.4 ;; *) cuda=12.9 ;; esac
mkdir -p "$tree/nvidia-smi/usr/bin"
cat > "$tree/nvidia-smi/usr/bin/nvidia-smi" <<C
#!/bin/sh
# A stand-in: it knows what it was made with and what the kernel says.
lib=$v cuda=$cuda
loaded=
while read -r line; do case \$line in 'NVRM version: '*) set -- "\$@" --; loaded=\${line#*Module}; loaded=\${loaded# for x86_64}; set -- "\$@"
	for word in \$loaded; do loaded=\$word; break; done; break ;; esac; done 2>/dev/null < /proc/driver/nvidia/version
[ -n "\$loaded" ] || { echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."; echo; exit 9; }
[ "\$loaded" = "\$lib" ] || { echo "Failed to initialize NVML: Driver/library version mismatch"; echo "NVML library version: \${lib%.*}"; exit 18; }
gpus=0
for d in /sys/bus/pci/devices/*; do
	read -r vendor 2>/dev/null < "\$d/vendor" && read -r class < "\$d/class" || continue
	case \$vendor-\$class in 0x10de-0x0300*|0x10de-0x0302*) gpus=\$((gpus + 1)) ;; esac
done
case "\$*" in
*--query-gpu=*)
	q=\${*#*--query-gpu=}; q=\${q%% *}
	case "\$*" in *noheader*) ;; *) echo "\$q" | sed 's/,/, /g' ;; esac
	i=0; while [ \$i -lt \$gpus ]; do
		line=
		for field in \$(echo "\$q" | tr , ' '); do
			case \$field in
			index) value=\$i ;; count) value=\$gpus ;; name) value="NVIDIA H100 PCIe" ;; driver_version) value=\$lib ;;
			uuid) value=GPU-00000000-0000-0000-0000-00000000000\$i ;; memory.total) value="81559 MiB" ;;
			persistence_mode) if [ -e /run/nvidia-persistenced/socket ]; then value=Enabled; else value=Disabled; fi ;; *) value="[N/A]" ;;
			esac
			line="\$line\${line:+, }\$value"
		done
		echo "\$line"; i=\$((i + 1))
	done ;;
*-q*) printf '\n==============NVSMI LOG==============\n\nDriver Version                            : %s\nCUDA Version                              : %s\n\nAttached GPUs                             : %s\n' "\$lib" "\$cuda" "\$gpus" ;;
*-L*) i=0; while [ \$i -lt \$gpus ]; do echo "GPU \$i: NVIDIA H100 PCIe (UUID: GPU-00000000-0000-0000-0000-00000000000\$i)"; i=\$((i + 1)); done ;;
*-pm*) echo "Enabled persistence mode." ;;
*) printf '+---------------------------------------------------------------------------------------+\n| NVIDIA-SMI %s             Driver Version: %s   CUDA Version: %s     |\n' "\$lib" "\$loaded" "\$cuda" ;;
esac
C
chmod 755 "$tree/nvidia-smi/usr/bin/nvidia-smi"
if [ "$kind" = slow ]; then
  mkdir -p "$tree/nvidia-smi/DEBIAN"
  cat > "$tree/nvidia-smi/DEBIAN/postinst" <<'C'
#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
echo "$$" >> /var/log/e2e-begun
echo "waiting in the middle"
i=0; until [ -e /run/e2e-go ]; do i=$((i + 1)); [ $i -lt 3000 ]; sleep 0.1; done
rm /run/e2e-go
C
  chmod 755 "$tree/nvidia-smi/DEBIAN/postinst"
fi
package non-free nvidia-smi "$v-$rev" "nvidia-alternative (= $v-$rev), libnvidia-ml1 (= $v-$rev)"
package non-free nvidia-driver "$v-$rev" "nvidia-kernel-dkms (= $v-$rev), nvidia-smi (= $v-$rev), libcuda1 (= $v-$rev)"

# What has a version of its own, and comes once a release.
case $v in
  535.261.03) modprobe=535.161.07-1~deb12u1 persistenced=535.171.04-1~deb12u1 ;;
  550.163.01) modprobe=570.133.07-1 persistenced=550.163.01-1 ;;
  *) exit 0 ;;
esac
mkdir -p "$tree/nvidia-modprobe/usr/bin"
cat > "$tree/nvidia-modprobe/usr/bin/nvidia-modprobe" <<'C'
#!/bin/sh
# A stand-in: loads the module and makes its device nodes.
[ -e /proc/driver/nvidia/version ] || modprobe nvidia || exit 1
[ -e /dev/nvidiactl ] || mknod -m 666 /dev/nvidiactl c 195 255
[ -e /dev/nvidia0 ] || mknod -m 666 /dev/nvidia0 c 195 0
C
chmod 755 "$tree/nvidia-modprobe/usr/bin/nvidia-modprobe"
package contrib nvidia-modprobe "$modprobe" ""
package contrib nvidia-kernel-common 20220217+3 ""
package contrib nvidia-support 20220217+3 ""
package contrib nvidia-installer-cleanup 20220217+3 ""
d=$tree/nvidia-persistenced; mkdir -p "$d/usr/bin" "$d/lib/systemd/system" "$d/DEBIAN"
cat > "$d/usr/bin/nvidia-persistenced" <<'C'
#!/bin/sh
# A stand-in: as the real one, it holds the GPUs open for as long as it runs.
nvidia-modprobe || exit 1
mkdir -p /run/nvidia-persistenced; : > /run/nvidia-persistenced/socket
trap 'rm -f /run/nvidia-persistenced/socket' EXIT
trap 'exit 0' TERM
[ -e /dev/nvidia0 ] && exec 3< /dev/nvidia0
while :; do sleep 3600 & wait $!; done
C
chmod 755 "$d/usr/bin/nvidia-persistenced"
cat > "$d/lib/systemd/system/nvidia-persistenced.service" <<'C'
[Unit]
Description=NVIDIA Persistence Daemon (stand-in)
[Service]
ExecStart=/usr/bin/nvidia-persistenced
[Install]
WantedBy=multi-user.target
C
cat > "$d/DEBIAN/postinst" <<'C'
#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
systemctl enable nvidia-persistenced.service >/dev/null 2>&1 || true
if [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload
	# As deb-systemd-invoke: a unit that does not start does not fail the package.
	/usr/sbin/invoke-rc.d nvidia-persistenced restart >/dev/null 2>&1 || systemctl restart nvidia-persistenced.service || true
fi
C
cat > "$d/DEBIAN/prerm" <<'C'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl stop nvidia-persistenced.service || true; fi
C
chmod 755 "$d"/DEBIAN/p*
package contrib nvidia-persistenced "$persistenced" "libnvidia-cfg1 | libnvidia-cfg.so.1"
