# Inside a layer on base.sh: Debian's own packages of the driver and all they need
# beyond the base, as files in /nvidia/ARCHIVE/SUITE/COMPONENT: 535 of bookworm,
# the one of its security archive, and 550 of trixie with what of trixie it takes
# along. Headers are those of the newest kernel for clouds. SECURITY is the address of the
# security archive, MIRROR that of the archive.
components="main contrib non-free non-free-firmware"
keep() { # ARCHIVE SUITE: sorts what was just downloaded by its component
  for deb in /var/cache/apt/archives/*.deb; do
    file=$(apt-cache show "$(dpkg-deb -f "$deb" Package)=$(dpkg-deb -f "$deb" Version)" | sed -n 's,^Filename: pool/\(updates/\)\{0\,1\},,p' | head -n 1)
    to=/nvidia/$1/$2/${file%%/*}; mkdir -p "$to"; mv "$deb" "$to/"
  done
}
fetch() { apt-get install -y -qq --download-only --no-install-recommends "$@"; }
set="nvidia-smi libcuda1 libnvidia-cfg1 nvidia-persistenced"
echo "deb $MIRROR bookworm $components" > /etc/apt/sources.list
apt-get update -qq
fetch nvidia-kernel-dkms linux-headers-cloud-amd64 $set
fetch nvidia-open-kernel-dkms $set
keep debian bookworm
echo "deb $SECURITY bookworm-security $components" >> /etc/apt/sources.list
apt-get update -qq
fetch nvidia-kernel-dkms $set
keep debian-security bookworm-security
echo "deb $MIRROR trixie $components" >> /etc/apt/sources.list
printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' > /etc/apt/preferences.d/trixie
apt-get update -qq
fetch -t trixie nvidia-kernel-dkms $set
keep debian trixie
rm /etc/apt/preferences.d/trixie
