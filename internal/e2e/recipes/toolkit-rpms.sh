# Inside a layer on rpm-tools.sh, with the packages of toolkit.sh in /mnt: the same
# for rpm, in /srv/libnvidia-container as NVIDIA serves them: the key in gpgkey, and
# below stable/rpm a repository whose lists are signed, by a subkey of that key, and
# whose packages are not. /srv/fingerprint is the key's.
at=/srv/libnvidia-container/stable/rpm/$(uname -m)
mkdir -p "$at"
export GNUPGHOME=/tmp/gnupg; mkdir -m 700 "$GNUPGHOME"
gpg -q --batch --passphrase '' --quick-gen-key 'e2e toolkit <toolkit@localhost>' rsa2048 sign never
key=$(gpg --batch --with-colons --list-keys | sed -n 's/^fpr:*\([0-9A-F]*\):$/\1/p' | head -n 1)
gpg -q --batch --passphrase '' --quick-add-key "$key" rsa2048 sign never
echo "$key" > /srv/fingerprint
gpg -q --armor --export > /srv/libnvidia-container/gpgkey
for deb in /mnt/*.deb; do
  name=$(dpkg-deb -f "$deb" Package) v=$(dpkg-deb -f "$deb" Version); v=${v%-1}
  rm -rf /tmp/t; mkdir /tmp/t; dpkg-deb -x "$deb" /tmp/t
  {
    printf 'Name: %s\nVersion: %s\nRelease: 1\nSummary: look-alike of %s\nLicense: MIT\nAutoReqProv: no\n' "$name" "$v" "$name"
    case $name in
      nvidia-container-toolkit) printf 'Requires: nvidia-container-toolkit-base = %s-1\nRequires: libnvidia-container-tools >= %s-1\n' "$v" "$v" ;;
      libnvidia-container-tools) printf 'Requires: libnvidia-container1 >= %s-1\n' "$v" ;;
    esac
    printf '%%description\nlook-alike of %s\n%%install\ncp -a /tmp/t/. %%{buildroot}/\n%%files\n' "$name"
    (cd /tmp/t && find . -mindepth 1 ! -type d | sed 's,^\.,",; s,$,",')
  } > /tmp/spec
  rpmbuild --quiet --target "$(uname -m)" -bb /tmp/spec --define '_topdir /tmp/rpmbuild' --define "_rpmdir $at" --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
    --define '__os_install_post %{nil}' --define '_build_id_links none' --define '_binary_payload w1.gzdio' --define '_dbpath /tmp/rpmdb'
done
createrepo_c -q "$at"
gpg -q --batch --armor --detach-sign "$at/repodata/repomd.xml"
cp /srv/libnvidia-container/gpgkey "$at/repodata/repomd.xml.key"
gpgconf --kill all
