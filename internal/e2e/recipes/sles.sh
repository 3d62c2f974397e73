# Inside a layer on zypper-tools.sh, with the packages of rpms.sh in /mnt: a SLES
# 15 SP6 to all that look: zypper, rpm, their folders, /boot and the kernel's name
# as there, neither apt nor dpkg. The programs beneath are Debian's builds.
k=$(ls /lib/modules) sles=6.4.0-150600.21-default
rm -f /etc/os-release /etc/debian_version
cat > /usr/lib/os-release <<'C'
NAME="SLES"
VERSION="15-SP6"
VERSION_ID="15.6"
PRETTY_NAME="SUSE Linux Enterprise Server 15 SP6"
ID="sles"
ID_LIKE="suse"
ANSI_COLOR="0;32"
CPE_NAME="cpe:/o:suse:sles:15:sp6"
C
ln -s ../usr/lib/os-release /etc/os-release

mv "/lib/modules/$k" "/lib/modules/$sles"; rm -f "/lib/modules/$sles/build" "/lib/modules/$sles/source"
mv "/boot/vmlinuz-$k" "/boot/vmlinuz-$sles"; mv "/boot/config-$k" "/boot/config-$sles"; mv "/boot/System.map-$k" "/boot/System.map-$sles"
rm -f /boot/initrd.img* /vmlinuz* /initrd.img* /boot/vmlinuz
depmod "$sles"
mkdir -p /boot/grub2
ln -s "vmlinuz-$sles" /boot/vmlinuz; ln -s "initrd-$sles" /boot/initrd; : > "/boot/initrd-$sles"
printf '# GRUB Environment Block\n' > /boot/grub2/grubenv
printf 'GRUB_TIMEOUT=8\nGRUB_DEFAULT=saved\n' > /etc/default/grub
# dracut, which Debian's build calls its file otherwise; a small one is enough.
printf 'hostonly=no\nhostonly_cmdline=no\ncompress=cat\ndracutmodules=" bash base kernel-modules "\ndrivers=" ext4 "\n' > /etc/dracut.conf.d/e2e.conf
sed -i 's|/boot/initrd.img-${kernel}|/boot/initrd-${kernel}|' /usr/bin/dracut

dpkg -L dkms linux-kbuild-6.1 | while read -r f; do [ -d "$f" ] && [ ! -L "$f" ] || rm -f "$f"; done
rm -rf /usr/lib/dkms /var/lib/dkms /etc/dkms /usr/src/* /usr/lib/linux-kbuild-*
rm -rf /etc/apt /var/lib/apt /var/lib/dpkg /etc/initramfs-tools /usr/share/initramfs-tools
rm -f /usr/bin/apt* /usr/bin/dpkg* /usr/sbin/dpkg* /usr/sbin/update-initramfs /usr/sbin/mkinitramfs

# Its C library is no rpm here, which libzypp takes for a broken system.
: > /etc/zypp/systemCheck
mkdir -p /etc/zypp/repos.d /etc/rpm /var/lib/rpm /etc/pki/rpm-gpg /etc/sysconfig
printf '%%_dbpath /var/lib/rpm\n' > /etc/rpm/macros.e2e
printf '[SLES15-SP6]\nname=SLES15-SP6\nenabled=1\nautorefresh=1\nbaseurl=http://10.77.0.1/rpms/sles15\ntype=rpm-md\ngpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/system.asc\n' > /etc/zypp/repos.d/SLES15-SP6.repo
cp /mnt/system.pub /etc/pki/rpm-gpg/system.asc
rpm --initdb; rpm --import /etc/pki/rpm-gpg/system.asc
rpm -i --justdb --noscripts /mnt/sles15/kernel-default-*.rpm /mnt/sles15/bash-*.rpm
printf 'PROXY_ENABLED="no"\nHTTP_PROXY=""\nHTTPS_PROXY=""\nFTP_PROXY=""\nNO_PROXY="localhost, 127.0.0.1"\n' > /etc/sysconfig/proxy

# The trust store of ca-certificates on SLES: p11-kit's own trust, with the module
# looking in SUSE's folders, and update-ca-certificates doing what the scripts
# under its update.d do.
mkdir -p /etc/pki/trust/anchors /etc/pki/trust/blocklist /usr/share/pki/trust/anchors /var/lib/ca-certificates/pem
cp /etc/ssl/certs/ca-certificates.crt /usr/share/pki/trust/anchors/ca-bundle.pem
printf 'module: p11-kit-trust.so\npriority: 1\ntrust-policy: yes\nx-trust-lookup: pkcs11:library-description=PKCS%%2311%%20Kit%%20Trust%%20Module\nx-init-reserved: paths=/etc/pki/trust:/usr/share/pki/trust\n' > /usr/share/p11-kit/modules/p11-kit-trust.module
cat > /usr/sbin/update-ca-certificates <<'C'
#!/bin/sh
statedir=/var/lib/ca-certificates
trust extract --format=pem-directory-hash --filter=ca-anchors --purpose server-auth --overwrite $statedir/pem || exit 1
trust extract --format=pem-bundle --filter=ca-anchors --purpose server-auth --overwrite $statedir/ca-bundle.pem || exit 1
C
chmod 755 /usr/sbin/update-ca-certificates
update-ca-certificates
ln -sf /var/lib/ca-certificates/ca-bundle.pem /etc/ssl/ca-bundle.pem
ln -sf /var/lib/ca-certificates/ca-bundle.pem /etc/ssl/certs/ca-certificates.crt
