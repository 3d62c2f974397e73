#!/bin/sh
# e2e-loaded: what stands in for a kernel of its own in a container, which cannot
# load modules. All of it is made at boot by bind mounts, and undone by the end:
#   /proc/sys/kernel/osrelease, uname -r   the kernel whose packages are installed
#   /sys/bus/pci/devices                   one H100
#   modprobe, rmmod, insmod                load and unload the NVIDIA modules found on disk
#                                          (modinfo reads them): what is loaded is shown in
#   /proc/modules, /sys/module, /proc/driver/nvidia, /dev/nvidia*
# A file /etc/e2e-noload makes loading fail.
set -eu
run=/run/e2e
self=/usr/local/sbin/e2e-loaded
kernel=$(ls /usr/lib/modules | sort -V | tail -n 1)

loaded() { [ -e "$run/module/$1" ]; }

load() { # name as the kernel spells it
  ! loaded "$1" || return 0
  case $1 in nvidia) ;; nvidia_*) load nvidia || return 1 ;; *) return 0 ;; esac
  file=
  for f in "/usr/lib/modules/$kernel"/updates/dkms/nvidia*.ko* "/usr/lib/modules/$kernel"/updates/nvidia*.ko* "/usr/lib/modules/$kernel"/extra/nvidia*.ko*; do
    name=${f##*/}; name=${name%%.ko*}
    case $1 in nvidia) case $name in *-uvm | *-modeset | *-drm | *-peermem) continue ;; esac ;; nvidia_*) case $name in *-"${1#nvidia_}") ;; *) continue ;; esac ;; esac
    [ -e "$f" ] && file=$f
  done
  if [ -z "$file" ]; then echo "modprobe: FATAL: Module $1 not found in directory /lib/modules/$kernel" >&2; return 1; fi
  if [ -e /etc/e2e-noload ]; then echo "modprobe: ERROR: could not insert '$1': Input/output error" >&2; return 1; fi
  v=$(modinfo -F version "$file")
  mkdir -p "$run/module/$1"; echo "$v" > "$run/module/$1/version"; echo 0 > "$run/module/$1/refcnt"
  if [ "$1" = nvidia ]; then
    case $(modinfo -F license "$file") in *GPL*) banner="NVIDIA UNIX Open Kernel Module for x86_64" ;; *) banner="NVIDIA UNIX x86_64 Kernel Module" ;; esac
    mkdir -p "$run/driver/nvidia"
    printf 'NVRM version: %s  %s  Tue Nov 24 12:00:00 UTC 2026\nGCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n' "$banner" "$v" > "$run/driver/nvidia/version"
  fi
  modules
}

unload() {
  loaded "$1" || { echo "rmmod: ERROR: Module $1 is not currently loaded" >&2; return 1; }
  if [ "$1" = nvidia ]; then
    for m in "$run"/module/nvidia_*; do [ ! -e "$m" ] || { echo "rmmod: ERROR: Module nvidia is in use by: ${m##*/}" >&2; return 1; }; done
    # Who has a device open, as the kernel would know.
    for p in /proc/[0-9]*; do
      case $(ls -l "$p/fd" 2>/dev/null) in *' /dev/nvidia'*) echo "rmmod: ERROR: Module nvidia is in use" >&2; return 1 ;; esac
    done
    rm -rf "$run/driver/nvidia"
  fi
  rm -rf "$run/module/$1"
  modules
}

modules() {
  : > "$run/modules"
  for m in "$run"/module/nvidia*; do
    [ -e "$m" ] || continue
    used=-; [ "${m##*/}" != nvidia ] || for o in "$run"/module/nvidia_*; do [ ! -e "$o" ] || used="${o##*/},"; done
    echo "${m##*/} 16384 0 $used Live 0x0000000000000000" >> "$run/modules"
  done
}

case ${0##*/}-${1-} in
e2e-loaded-boot)
  mkdir -p "$run/module" "$run/driver" "$run/pci/devices/0000:17:00.0" "$run/bin"
  : > "$run/modules"
  echo "$kernel" > "$run/osrelease"
  mount --bind "$run/osrelease" /proc/sys/kernel/osrelease
  printf '#!/bin/sh\ncase "$*" in -r) echo %s ;; *) exec %s "$@" ;; esac\n' "$kernel" "$run/bin/real-uname" > "$run/bin/uname"
  cp /bin/uname "$run/bin/real-uname"; chmod 755 "$run/bin/uname"; mount --bind "$run/bin/uname" /bin/uname
  d=$run/pci/devices/0000:17:00.0
  echo 0x10de > $d/vendor; echo 0x2331 > $d/device; echo 0x030200 > $d/class
  echo pci:v000010DEd00002331sv000010DEsd00001626bc03sc02i00 > $d/modalias
  printf 'DRIVER=\nPCI_CLASS=30200\nPCI_ID=10DE:2331\nPCI_SLOT_NAME=0000:17:00.0\n' > $d/uevent
  mount --bind "$run/pci/devices" /sys/bus/pci/devices
  # The machine's own modules are nothing to this kernel.
  mount --bind "$run/module" /sys/module
  mount --bind "$run/driver" /proc/driver
  [ ! -e /proc/modules ] || mount --bind "$run/modules" /proc/modules
  for p in modprobe rmmod insmod; do
    cp -P /sbin/$p "$run/bin/" 2>/dev/null || true
    ln -sf $self /usr/local/sbin/$p
    # By absolute path, too: /sbin/modprobe is a link to kmod.
    [ -L /sbin/$p ] && { rm /sbin/$p; ln -s $self /sbin/$p; } || true
  done
  # What modules-load.d asks for is there after a boot, if it can be.
  if ls -R "/usr/lib/modules/$kernel"/updates "/usr/lib/modules/$kernel"/extra 2>/dev/null | grep -q '^nvidia.*\.ko'; then load nvidia || true; load nvidia_uvm || true; fi
  for n in nvidiactl nvidia0; do rm -f /dev/$n; : > /dev/$n; done
  ;;
modprobe-*)
  remove=
  for a; do case $a in
    -r | --remove) remove=1 ;;
    -n | -c | -D | --show-depends | --showconfig | --dry-run | -V | --version) exec kmod modprobe "$@" ;;
    -*) ;;
    *) n=$(echo "$a" | tr - _); n=${n#nvidia_current_open}; n=${n#nvidia_current}; case $n in '') n=nvidia ;; _*) n=nvidia$n ;; esac
       case $n in nvidia*) ;; *) continue ;; esac
       if [ -n "$remove" ]; then
         [ "$n" != nvidia ] || for m in "$run"/module/nvidia_*; do [ ! -e "$m" ] || unload "${m##*/}"; done
         unload "$n"; else load "$n"; fi ;;
  esac; done ;;
rmmod-*)
  for a; do case $a in -*) ;; *) unload "$(echo "$a" | tr - _)" ;; esac; done ;;
insmod-*) echo "insmod: not in a container" >&2; exit 1 ;;
esac
