# suite.sh REPO ARCHIVE SUITE COMPONENT [DEBS...]: add packages to a component of
# a suite, laid out and labelled as Debian does it, and sign the suite anew with
# the key of REPO (see repo.sh).
set -eu
repo=$1 archive=$2 suite=$3 component=$4; shift 4
cd "$repo/www"; mkdir -p "$archive"; cd "$archive"
mkdir -p "pool/$suite/$component"
for deb; do cp -l "$deb" "pool/$suite/$component/" 2>/dev/null || cp "$deb" "pool/$suite/$component/"; done
dist=dists/$suite; mkdir -p "$dist"
for c in main contrib non-free non-free-firmware; do
  mkdir -p "pool/$suite/$c" "$dist/$c/binary-amd64"
  [ "$c" = "$component" ] || [ ! -e "$dist/$c/binary-amd64/Packages.gz" ] || continue
  # Written beside and renamed: the files may be hard links into the cache.
  dpkg-scanpackages -m "pool/$suite/$c" 2>/dev/null | gzip -9c > "$dist/$c/binary-amd64/Packages.gz.new"
  mv "$dist/$c/binary-amd64/Packages.gz.new" "$dist/$c/binary-amd64/Packages.gz"
done
case $suite in
  bookworm) name=oldstable label=Debian version=12.12 ;;
  bookworm-security) name=oldstable-security label=Debian-Security version=12 ;;
  *) name=stable label=Debian version=13.2 ;;
esac
cd "$dist"
{
  printf 'Origin: Debian\nLabel: %s\nSuite: %s\nVersion: %s\nCodename: %s\nArchitectures: amd64\n' "$label" "$name" "$version" "$suite"
  printf 'Components: main contrib non-free non-free-firmware\nDate: %s\nSHA256:\n' "$(LC_ALL=C date -Ru)"
  for f in */binary-amd64/Packages.gz; do
    echo " $(sha256sum "$f" | cut -d' ' -f1) $(stat -c %s "$f") $f"
    # The uncompressed one is named, as everywhere, and need not be there.
    echo " $(gzip -dc "$f" | sha256sum | cut -d' ' -f1) $(gzip -dc "$f" | wc -c) ${f%.gz}"
  done
} > Release.new
export GNUPGHOME="$repo/gnupg"
gpg -q --batch --yes --clearsign -o InRelease.new Release.new
mv Release.new Release; mv InRelease.new InRelease
gpgconf --kill all
