# Inside a layer on rpm-tools.sh, with the packages of rpms.sh in /mnt: what is
# Debian's by name goes, and a Rocky 9 to all that look takes its place: dnf, rpm,
# their folders, /boot and the kernel's name as there, neither apt nor dpkg. The
# programs beneath are Debian's builds.
k=$(ls /lib/modules) el=5.14.0-427.13.1.el9_4.x86_64
rm -f /etc/os-release /etc/debian_version
cat > /usr/lib/os-release <<'C'
NAME="Rocky Linux"
VERSION="9.4 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.4"
PLATFORM_ID="platform:el9"
PRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"
C
ln -s ../usr/lib/os-release /etc/os-release
echo 'Rocky Linux release 9.4 (Blue Onyx)' | tee /etc/redhat-release > /etc/rocky-release

# The kernel under an EL kernel's name, with grub's files as EL 9 has them.
mv "/lib/modules/$k" "/lib/modules/$el"; rm -f "/lib/modules/$el/build" "/lib/modules/$el/source"
mv "/boot/vmlinuz-$k" "/boot/vmlinuz-$el"; mv "/boot/config-$k" "/boot/config-$el"; mv "/boot/System.map-$k" "/boot/System.map-$el"
rm -f /boot/initrd.img* /vmlinuz* /initrd.img* /boot/vmlinuz
ln -s "/usr/src/kernels/$el" "/lib/modules/$el/build"; ln -s build "/lib/modules/$el/source"
depmod "$el"
id=0123456789abcdef0123456789abcdef
mkdir -p /boot/grub2 /boot/loader/entries
printf '# GRUB Environment Block\nsaved_entry=%s-%s\n' $id $el > /boot/grub2/grubenv
printf 'GRUB_TIMEOUT=5\nGRUB_DEFAULT=saved\nGRUB_ENABLE_BLSCFG=true\nGRUB_CMDLINE_LINUX=""\n' > /etc/default/grub
printf 'title Rocky Linux (%s) 9.4\nversion %s\nlinux /vmlinuz-%s\ninitrd /initramfs-%s.img\n' $el $el $el $el > /boot/loader/entries/$id-$el.conf
# dracut, which Debian's build calls its file otherwise; a small one is enough.
printf 'hostonly=no\nhostonly_cmdline=no\ncompress=cat\ndracutmodules=" bash base kernel-modules "\ndrivers=" ext4 "\n' > /etc/dracut.conf.d/e2e.conf
sed -i 's|/boot/initrd.img-${kernel}|/boot/initramfs-${kernel}.img|' /usr/bin/dracut
: > "/boot/initramfs-$el.img"

# What packages bring there.
dpkg -L dkms linux-kbuild-6.1 | while read -r f; do [ -d "$f" ] && [ ! -L "$f" ] || rm -f "$f"; done
rm -rf /usr/lib/dkms /var/lib/dkms /etc/dkms /usr/src/* /usr/lib/linux-kbuild-*
rm -rf /etc/apt /var/lib/apt /var/lib/dpkg /etc/initramfs-tools /usr/share/initramfs-tools
rm -f /usr/bin/apt* /usr/bin/dpkg* /usr/sbin/dpkg* /usr/sbin/update-initramfs /usr/sbin/mkinitramfs /usr/sbin/update-ca-certificates

# DNF and rpm as configured there; rpm's database where everybody finds it.
mkdir -p /etc/yum.repos.d /etc/pki/rpm-gpg /etc/rpm /var/lib/rpm
ln -s dnf /usr/bin/yum
printf '%%_dbpath /var/lib/rpm\n%%dist .el9\n' > /etc/rpm/macros.e2e
printf '[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n' > /etc/dnf/dnf.conf
printf '[main]\nenabled=1\nlocklist=/etc/dnf/plugins/versionlock.list\n' > /etc/dnf/plugins/versionlock.conf
printf '[baseos]\nname=Rocky Linux 9 - BaseOS\nbaseurl=http://10.77.0.1/rpms/el9\nenabled=1\ngpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-system\n' > /etc/yum.repos.d/rocky.repo
cp /mnt/system.pub /etc/pki/rpm-gpg/RPM-GPG-KEY-system
mkdir -p /etc/dnf/vars; echo 9 > /etc/dnf/vars/releasever
rpm --initdb; rpm --import /etc/pki/rpm-gpg/RPM-GPG-KEY-system
rpm -i --justdb --noscripts /mnt/el9/kernel-core-*.rpm /mnt/el9/bash-*.rpm /mnt/el9/gcc-*.rpm /mnt/el9/make-*.rpm /mnt/el9/grubby-*.rpm

# The trust store of ca-certificates on EL: p11-kit's own trust, with the module
# looking in EL's folders, and update-ca-trust as it is there: a script around
# trust extract.
mkdir -p /etc/pki/ca-trust/source/anchors /etc/pki/ca-trust/source/blocklist /etc/pki/ca-trust/extracted/pem /etc/pki/ca-trust/extracted/openssl \
  /etc/pki/ca-trust/extracted/java /etc/pki/ca-trust/extracted/edk2 /usr/share/pki/ca-trust-source/anchors
cp /etc/ssl/certs/ca-certificates.crt /usr/share/pki/ca-trust-source/anchors/ca-bundle.pem
cat > /usr/bin/update-ca-trust <<'C'
#!/bin/sh
# As ca-certificates of EL 9 has it, without its help.
case "${1:-extract}" in extract) ;; *) echo "$0: usage: $0 [extract]" >&2; exit 1 ;; esac
DEST=/etc/pki/ca-trust/extracted
export P11_KIT_NO_USER_CONFIG=1
t() { /usr/bin/trust extract --overwrite "$@"; }
t --format=openssl-bundle --filter=certificates --comment $DEST/openssl/ca-bundle.trust.crt || exit 1
t --format=pem-bundle --filter=ca-anchors --comment --purpose server-auth $DEST/pem/tls-ca-bundle.pem || exit 1
t --format=pem-bundle --filter=ca-anchors --comment --purpose email $DEST/pem/email-ca-bundle.pem || exit 1
C
chmod 755 /usr/bin/update-ca-trust
mkdir -p /etc/pkcs11/modules
printf 'module: p11-kit-trust.so\npriority: 1\ntrust-policy: yes\nx-trust-lookup: pkcs11:library-description=PKCS%%2311%%20Kit%%20Trust%%20Module\nx-init-reserved: paths=/etc/pki/ca-trust/source:/usr/share/pki/ca-trust-source\n' > /usr/share/p11-kit/modules/p11-kit-trust.module
update-ca-trust
mkdir -p /etc/pki/tls/certs; ln -s /etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem /etc/pki/tls/certs/ca-bundle.crt
ln -sf /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/certs/ca-certificates.crt
groupadd -f wheel
