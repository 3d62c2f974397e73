# Inside a layer on kernel.sh: a kernel NFS server with two exports, and nft to
# play the firewall in front of it.
apt-get update -qq
apt-get install -y -qq --no-install-recommends nfs-kernel-server nftables
apt-get clean
mkdir -p /srv/data /srv/home
echo 'data of the NFS server' > /srv/data/README
echo 'homes of the NFS server' > /srv/home/README
printf '/srv/data *(rw,sync,no_subtree_check,no_root_squash)\n/srv/home *(rw,sync,no_subtree_check,no_root_squash)\n' > /etc/exports
# A grace period of 90 s after each boot would hold up every test that writes.
mkdir -p /etc/nfs.conf.d
printf '[nfsd]\nthreads=4\ngrace-time=10\nlease-time=10\n' > /etc/nfs.conf.d/e2e.conf
