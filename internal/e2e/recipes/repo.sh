# repo.sh REPO DEBS...: add packages to the flat apt repository REPO/www and
# sign it anew with the key in REPO/gnupg, made if there is none.
# REPO/www/key.asc is what a host must trust.
set -eu
repo=$1; shift
mkdir -p "$repo/www/pool"
for deb; do cp -l "$deb" "$repo/www/pool/" 2>/dev/null || cp "$deb" "$repo/www/pool/"; done
export GNUPGHOME="$repo/gnupg"
if [ ! -d "$GNUPGHOME" ]; then
  mkdir -m 700 "$GNUPGHOME"
  gpg -q --batch --passphrase '' --quick-gen-key 'e2e repository <e2e@localhost>' ed25519 sign never
fi
cd "$repo/www"
# Written beside and renamed: the files may be hard links into the cache.
gpg -q --armor --export > key.asc.new
dpkg-scanpackages -m . > Packages.new 2>/dev/null
gzip -9c Packages.new > Packages.gz.new
for f in key.asc Packages Packages.gz; do mv "$f.new" "$f"; done
{
  printf 'Origin: e2e\nLabel: e2e\nSuite: e2e\nCodename: e2e\nArchitectures: %s\nDate: %s\nSHA256:\n' "$(dpkg --print-architecture)" "$(LC_ALL=C date -Ru)"
  for f in Packages Packages.gz; do
    echo " $(sha256sum "$f" | cut -d' ' -f1) $(stat -c %s "$f") $f"
  done
} > Release.new
gpg -q --batch --yes --clearsign -o InRelease.new Release.new
mv Release.new Release; mv InRelease.new InRelease
gpgconf --kill all
