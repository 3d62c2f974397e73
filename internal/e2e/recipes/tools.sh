# Inside a layer on kernel.sh: what a DKMS build needs, as on a host that has
# had an NVIDIA driver before.
apt-get update -qq
apt-get install -y -qq --no-install-recommends dkms "linux-headers-$(ls /lib/modules)"
apt-get clean
