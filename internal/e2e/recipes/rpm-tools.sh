# Inside a layer on tools.sh: what EL has for packages, DNF 4 and rpm, and what
# its people find beside it. They are Debian's builds of the real programs.
apt-get update -qq
apt-get install -y -qq --no-install-recommends \
  dnf dnf-plugins-core rpm createrepo-c gpg gpg-agent curl p11-kit p11-kit-modules dracut-core
apt-get clean
