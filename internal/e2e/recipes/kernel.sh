# Inside a layer: a kernel, an initramfs that knows virtio only (small, so that
# an emulated CPU unpacks it soon), and the unit that takes the seed.
apt-get update -qq
apt-get install -y -qq --no-install-recommends initramfs-tools zstd
printf 'MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\nBUSYBOX=n\nFSTYPE=ext4\n' > /etc/initramfs-tools/conf.d/e2e
printf 'virtio_pci\nvirtio_blk\nvirtio_net\next4\ncrc32c_generic\n' >> /etc/initramfs-tools/modules
apt-get install -y -qq --no-install-recommends linux-image-cloud-amd64 udev
# nfs-common depends on Python, which most machines have and whose set-up takes
# an emulated CPU minutes; the hosts under systemd-nspawn are the ones without.
apt-get install -y -qq --no-install-recommends python3
apt-get clean
systemctl enable systemd-networkd
echo '/dev/vda / ext4 defaults,noatime 0 0' > /etc/fstab

# The seed: a tar on the second disk with what is this machine's own (keys,
# name, address), taken once, before the network and sshd start.
cat > /etc/systemd/system/e2e-seed.service <<'U'
[Unit]
Description=Take what makes this machine itself from the seed disk
DefaultDependencies=no
ConditionPathExists=!/var/lib/e2e-seeded
After=systemd-remount-fs.service
Before=sysinit.target systemd-networkd.service systemd-tmpfiles-setup.service ssh.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/tar -C / --no-overwrite-dir -xpf /dev/vdb
ExecStart=/bin/touch /var/lib/e2e-seeded
[Install]
WantedBy=sysinit.target
U
systemctl enable e2e-seed.service
