# Inside a layer on rpm-tools.sh: rpm repositories in /srv, laid out, signed and
# named as those they stand for:
#   el9, sles15          what comes with the system: /srv/system.pub has signed it
#   cuda/rhel9, cuda/sles15  NVIDIA's, with module streams for EL: its key is there as NVIDIA's
#                        is, named by the last eight digits of its fingerprint
# Names, epochs and what depends on what are those of NVIDIA's spec files. The
# modules are small ones of our own that DKMS really builds; the kmp of SLES has
# them built already. dkms is Debian's, the kernel's headers are Debian's under
# the name of an EL kernel.
el=5.14.0-427.13.1.el9_4.x86_64 sles=6.4.0-150600.21-default
mkdir -p /srv/el9 /srv/sles15 /srv/cuda/rhel9/x86_64 /srv/cuda/sles15/x86_64 /tmp/t
export GNUPGHOME=/tmp/gnupg; mkdir -m 700 "$GNUPGHOME"
for who in system nvidia; do
  gpg -q --batch --passphrase '' --quick-gen-key "e2e $who <$who@localhost>" rsa2048 sign never
done
print() { gpg --batch --with-colons --fingerprint "$1@localhost" | sed -n 's/^fpr:*\([0-9A-F]*\):$/\1/p' | head -n 1; }
gpg -q --armor --export system@localhost > /srv/system.pub
nvidia=$(print nvidia); echo "$nvidia" > /srv/fingerprint
for at in rhel9 sles15; do gpg -q --armor --export nvidia@localhost > "/srv/cuda/$at/x86_64/${nvidia#????????????????????????????????}.pub"; done

# package REPOSITORY NAME EVR ARCH: packs /tmp/t/NAME; tags on stdin, and from
# the first line that begins with % on, scripts.
package() {
  repository=$1 name=$2 evr=$3 arch=$4
  mkdir -p "/tmp/t/$name"; cat > /tmp/in
  epoch=${evr%%:*}; vr=${evr#*:}
  {
    printf 'Name: %s\n' "$name"
    [ "$epoch" = "$evr" ] || printf 'Epoch: %s\n' "$epoch"
    printf 'Version: %s\nRelease: %s\nSummary: look-alike of %s\nLicense: MIT\nAutoReqProv: no\n' "${vr%%-*}" "${vr#*-}" "$name"
    sed '/^%/,$d' /tmp/in
    printf '%%description\nlook-alike of %s\n%%install\ncp -a /tmp/t/%s/. %%{buildroot}/\n' "$name" "$name"
    sed -n '/^%/,$p' /tmp/in
    echo '%files'
    (cd "/tmp/t/$name" && find . -mindepth 1 ! -type d | sed 's,^\.,",; s,$,",')
  } > /tmp/spec
  rpmbuild --quiet --target "$arch" -bb /tmp/spec \
    --define '_topdir /tmp/rpmbuild' --define "_rpmdir $repository" --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
    --define '__os_install_post %{nil}' --define '_build_id_links none' --define '_binary_payload w1.gzdio' --define '_dbpath /tmp/rpmdb'
  rm -rf "/tmp/t/$name"
}
put() { # NAME PATH MODE: a file of a package, from stdin
  mkdir -p "/tmp/t/$1${2%/*}"; cat > "/tmp/t/$1$2"; chmod "$3" "/tmp/t/$1$2"
}

# What comes with the system, and nobody asks the content of.
for at in el9 sles15; do
  for name in gcc make nfs-utils nfs-client squid grubby kernel-headers; do
    case $name in
      nfs-utils | nfs-client) printf '#!/bin/sh\nexit 0\n' | put $name /usr/sbin/mount.nfs 755 ;;
      *) echo $name | put $name /usr/share/doc/$name/README 644 ;;
    esac
    echo | package /srv/$at $name 1.0-1.$at noarch
  done
done
# What scripts of packages ask for.
for at in el9 sles15; do
  echo bash | put bash /usr/share/doc/bash/README 644
  echo 'Provides: /bin/sh, /bin/bash, /sbin/ldconfig' | package /srv/$at bash 5.1.8-9.$at x86_64
done
# One whose installation waits in its middle.
for at in el9 sles15; do
  echo slow | put slow /usr/share/doc/slow/README 644
  printf '%%post\necho begun >> /var/log/e2e-begun\nwhile [ ! -e /run/e2e-go ]; do sleep 1; done\n' | package /srv/$at slow 1-1 x86_64
done
for name in kernel-core-$el kernel-default-$sles; do echo | put "${name%%-[0-9]*}" /usr/share/doc/kernel/README 644; done
echo | package /srv/el9 kernel-core 5.14.0-427.13.1.el9_4 x86_64
echo | package /srv/sles15 kernel-default 6.4.0-150600.21.1 x86_64

# The headers: those of the kernel there is, its name and the name in them changed.
k=$(ls /lib/modules)
headers() { # PACKAGE FOLDER RELEASE
  mkdir -p "/tmp/t/$1$2" "/tmp/t/$1/usr/src" "/tmp/t/$1/usr/lib"
  cp -a "/usr/src/linux-headers-$k/." "/tmp/t/$1$2/"
  cp -a /usr/src/linux-headers-*-common /usr/src/linux-kbuild-* "/tmp/t/$1/usr/src/"; cp -a /usr/lib/linux-kbuild-* "/tmp/t/$1/usr/lib/"
  # Links that lead out of the folder, which lies elsewhere now.
  find "/tmp/t/$1$2" -type l | while read -r f; do at=/usr/src/linux-headers-$k${f#"/tmp/t/$1$2"}; to=$(readlink -f "$at"); rm "$f"; ln -s "$to" "$f"; done
  (cd "/tmp/t/$1$2" && grep -rl "$k" . | xargs sed -i "s/$k/$3/g")
}
headers kernel-devel /usr/src/kernels/$el $el
echo 'Provides: kernel-devel-uname-r = '$el | package /srv/el9 kernel-devel 5.14.0-427.13.1.el9_4 x86_64

mkdir -p /tmp/t/dkms
for f in $(dpkg -L dkms); do
  [ -d "$f" ] && [ ! -L "$f" ] && continue
  case $f in /usr/share/apport* | /usr/share/doc* | /usr/share/lintian* | /usr/share/man* | /etc/kernel/header_postinst.d/*) continue ;; esac
  mkdir -p "/tmp/t/dkms${f%/*}"; cp -a "$f" "/tmp/t/dkms$f"
done
printf 'Requires: gcc, make, kernel-devel\n' | package /srv/el9 dkms 3.0.12-1.el9 noarch

# source FOLDER NAME VERSION LICENSE: a small module for DKMS.
source() {
  mkdir -p "$1"
  printf '#include <linux/module.h>\nstatic int __init start(void) { return 0; }\nstatic void __exit stop(void) {}\nmodule_init(start);\nmodule_exit(stop);\nMODULE_LICENSE("%s");\nMODULE_VERSION("%s");\n' "$4" "$3" | tee "$1/nvidia.c" > "$1/nvidia-uvm.c"
  case $3 in *.99) echo 'void nobody_has(void) { this_kernel_has_no_such_function(); }' >> "$1/nvidia.c" ;; esac
  echo 'obj-m := nvidia.o nvidia-uvm.o' > "$1/Makefile"
  cat > "$1/dkms.conf" <<C
PACKAGE_NAME="$2"
PACKAGE_VERSION="$3"
AUTOINSTALL="yes"
MAKE[0]="make -C \$kernel_source_dir M=\$dkms_tree/\$PACKAGE_NAME/\$PACKAGE_VERSION/build modules"
CLEAN="true"
BUILT_MODULE_NAME[0]="nvidia"
DEST_MODULE_LOCATION[0]="/extra"
BUILT_MODULE_NAME[1]="nvidia-uvm"
DEST_MODULE_LOCATION[1]="/extra"
C
}
smi() { # VERSION: nvidia-smi, which knows what it was made with and what the kernel says
  cat <<C
#!/bin/sh
lib=$1
loaded=
while read -r line; do case \$line in 'NVRM version: '*) loaded=\${line#*Module}; loaded=\${loaded# for x86_64}; set -- \$loaded; loaded=\$1; break ;; esac; done 2>/dev/null < /proc/driver/nvidia/version
[ -n "\$loaded" ] || { echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."; exit 9; }
[ "\$loaded" = "\$lib" ] || { echo "Failed to initialize NVML: Driver/library version mismatch"; exit 18; }
echo "| NVIDIA-SMI $1   Driver Version: $1   CUDA Version: 12.2 |"
C
}
unit() { # NAME COMMAND
  printf '[Unit]\nDescription=%s (stand-in)\n[Service]\nExecStart=%s\n[Install]\nWantedBy=multi-user.target\n' "$1" "$2"
}
persistenced() { # PACKAGE
  printf '#!/bin/sh\n# A stand-in: as the real one, it does not run without the module.\n[ -e /proc/driver/nvidia/version ] || modprobe nvidia || exit 1\n: > /run/nvidia-persistenced.socket\nexec sleep infinity\n' | put "$1" /usr/bin/nvidia-persistenced 755
  unit nvidia-persistenced /usr/bin/nvidia-persistenced | put "$1" /usr/lib/systemd/system/nvidia-persistenced.service 644
}

# driver VERSION: what NVIDIA's repository for EL 9 has of one version, in both flavours.
driver() {
  v=$1 r=/srv/cuda/rhel9/x86_64 evr=3:$1-1.el9
  for flavour in "kmod-nvidia-latest-dkms nvidia NVIDIA kmod-nvidia-open-dkms" "kmod-nvidia-open-dkms nvidia-open GPL kmod-nvidia-latest-dkms"; do
    set -- $flavour
    source "/tmp/t/$1/usr/src/$2-$v" "$2" "$v" "$3"
    package $r "$1" "$evr" x86_64 <<C
Provides: nvidia-kmod = 3:$v
Requires: nvidia-kmod-common = 3:$v
Requires: dkms
Conflicts: $4
%post
dkms add -m $2 -v $v -q || :
dkms build -m $2 -v $v -q || :
dkms install -m $2 -v $v -q --force || :
%preun
dkms remove -m $2 -v $v -q --all || :
C
  done
  printf 'blacklist nouveau\noptions nouveau modeset=0\n' | put nvidia-kmod-common /usr/lib/modprobe.d/nvidia.conf 644
  printf 'omit_drivers+=" nvidia nvidia-drm nvidia-modeset nvidia-uvm "\n' | put nvidia-kmod-common /usr/lib/dracut/dracut.conf.d/99-nvidia.conf 644
  printf 'Requires: grubby\nRequires: nvidia-kmod = 3:%s\n' "$v" | package $r nvidia-kmod-common "$evr" noarch
  for so in libcuda libnvidia-ptxjitcompiler; do : | put nvidia-driver-cuda-libs /usr/lib64/$so.so.$v 755; ln -s $so.so.$v /tmp/t/nvidia-driver-cuda-libs/usr/lib64/$so.so.1; done
  echo | package $r nvidia-driver-cuda-libs "$evr" x86_64
  : | put nvidia-driver-NVML /usr/lib64/libnvidia-ml.so.$v 755; ln -s libnvidia-ml.so.$v /tmp/t/nvidia-driver-NVML/usr/lib64/libnvidia-ml.so.1
  echo | package $r nvidia-driver-NVML "$evr" x86_64
  smi "$v" | put nvidia-driver-cuda /usr/bin/nvidia-smi 755
  printf 'Requires: nvidia-driver-cuda-libs = 3:%s\nRequires: nvidia-driver-NVML = 3:%s\nRequires: nvidia-persistenced = 3:%s\n' "$v" "$v" "$v" | package $r nvidia-driver-cuda "$evr" x86_64
  persistenced nvidia-persistenced
  # As %systemd_postun_with_restart is not what NVIDIA's has, an upgrade leaves the old one running.
  echo | package $r nvidia-persistenced "$evr" x86_64
  : | put nvidia-driver-libs /usr/lib64/libGLX_nvidia.so.$v 755
  echo | package $r nvidia-driver-libs "$evr" x86_64
  : | put nvidia-driver /usr/share/nvidia/rc-$v 644
  printf 'Requires: nvidia-driver-libs = 3:%s\nRequires: nvidia-kmod-common = 3:%s\n' "$v" "$v" | package $r nvidia-driver "$evr" x86_64
  : | put nvidia-modprobe /usr/bin/nvidia-modprobe 755
  echo | package $r nvidia-modprobe "$evr" x86_64
}
for v in 535.261.03 535.274.02 550.163.01 560.35.99; do driver $v; done

# module STREAM KMOD BRANCH...: a module stream, as NVIDIA's genmodules.py writes it.
module() {
  stream=$1 kmod=$2; shift 2
  printf -- '---\ndocument: modulemd\nversion: 2\ndata:\n  name: nvidia-driver\n  stream: "%s"\n  version: 20241017000000\n  context: 0123abcd\n  arch: x86_64\n  summary: Nvidia driver for %s branch\n  description: Nvidia driver for %s branch\n  license:\n    module: [MIT]\n  profiles:\n' "$stream" "$stream" "$stream"
  printf '    default:\n      description: Default\n      rpms: [nvidia-driver, nvidia-driver-cuda, %s]\n    src:\n      description: Sources\n      rpms: []\n' "$kmod"
  printf '  artifacts:\n    rpms:\n'
  for b; do
    for f in /srv/cuda/rhel9/x86_64/*-"$b".*.rpm; do
      case $f in */kmod-*) case $f in */"$kmod"-*) ;; *) continue ;; esac ;; esac
      rpm -qp --nosignature --dbpath /tmp/rpmdb --qf '    - %{NAME}-%{EPOCH}:%{VERSION}-%{RELEASE}.%{ARCH}\n' "$f"
    done
  done
  echo '...'
}
sign() { # KEY RPMS...
  key=$1; shift
  rpmsign --define "_gpg_name $key@localhost" --define "__gpg /usr/bin/gpg" --define '_dbpath /tmp/rpmdb' --addsign "$@" >/dev/null
}
{
  module 535-dkms kmod-nvidia-latest-dkms 535; module 550-dkms kmod-nvidia-latest-dkms 550; module 560-dkms kmod-nvidia-latest-dkms 560
  module 535-open kmod-nvidia-open-dkms 535; module 550-open kmod-nvidia-open-dkms 550
  module latest-dkms kmod-nvidia-latest-dkms 535 550; module open-dkms kmod-nvidia-open-dkms 535 550
  printf -- '---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: nvidia-driver\n  stream: latest-dkms\n  profiles:\n    latest-dkms: [default]\n    535-dkms: [default]\n    550-dkms: [default]\n...\n'
} > /tmp/modules.yaml

# SLES: one package for each version, with the module built for its kernel.
headers kernel-source /usr/src/linux-$sles $sles
cp -a /tmp/t/kernel-source/usr/src/linux-$sles /usr/src/; rm -rf /tmp/t/kernel-source
kmp() {
  v=$1 r=/srv/cuda/sles15/x86_64
  source /tmp/kmp nvidia "$v" "Dual MIT/GPL"
  make -s -C /usr/src/linux-$sles M=/tmp/kmp modules >/dev/null
  name=nvidia-open-driver-G06-signed-cuda-kmp-default
  mkdir -p /tmp/t/$name/lib/modules/$sles/updates; cp /tmp/kmp/*.ko /tmp/t/$name/lib/modules/$sles/updates/; rm -rf /tmp/kmp
  printf 'blacklist nouveau\n' | put $name /usr/lib/modprobe.d/50-nvidia.conf 644
  # A kmp has its kernel in its version.
  printf 'Provides: nvidia-open-driver-G06-signed-cuda-kmp = %s\nProvides: multiversion(kernel)\nRequires: kernel-default\n%%post\ndepmod -a %s || :\n' "$v" "$sles" | package $r $name "${v}_k6.4.0_150600.21-1" x86_64
  : | put nvidia-compute-G06 /usr/lib64/libcuda.so.$v 755; : | put nvidia-compute-G06 /usr/lib64/libnvidia-ml.so.$v 755
  echo | package $r nvidia-compute-G06 "$v-1" x86_64
  smi "$v" | put nvidia-compute-utils-G06 /usr/bin/nvidia-smi 755
  printf 'Requires: nvidia-compute-G06 = %s\nRequires: nvidia-persistenced >= 535\n' "$v" | package $r nvidia-compute-utils-G06 "$v-1" x86_64
  persistenced nvidia-persistenced
  echo | package $r nvidia-persistenced "$v-1" x86_64
}
for v in 550.163.01 570.133.20; do kmp $v; done

sign system /srv/el9/*.rpm /srv/sles15/*.rpm
sign nvidia /srv/cuda/*/x86_64/*.rpm
for at in /srv/el9 /srv/sles15 /srv/cuda/rhel9/x86_64 /srv/cuda/sles15/x86_64; do
  createrepo_c -q "$at"
  case $at in */rhel9/*) modifyrepo_c --mdtype=modules /tmp/modules.yaml "$at/repodata" >/dev/null ;; esac
  key=system; case $at in */cuda/*) key=nvidia ;; esac
  gpg -q --batch --armor --local-user $key@localhost --detach-sign "$at/repodata/repomd.xml"
  gpg -q --armor --export $key@localhost > "$at/repodata/repomd.xml.key"
done
gpgconf --kill all
