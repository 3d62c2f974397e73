# Inside a layer on tools.sh: what SLES has for packages, zypper and rpm, and
# what its people find beside it. They are Debian's builds of the real programs.
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
  zypper libzypp-bin libzypp-common libzypp-config rpm gpg gpg-agent curl p11-kit p11-kit-modules dracut-core
apt-get clean
