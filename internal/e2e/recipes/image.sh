# image.sh OUT LOWER SIZE: OUT/disk.ext4 (no partition table) from the layers
# LOWER. In a mount namespace of its own.
set -eu
out=$1 lower=$2 size=$3
mkdir "$out/u" "$out/w" "$out/m"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$out/u,workdir=$out/w" "$out/m"
# No checksums and no journal set-up at first mount: both cost an emulated CPU.
mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1,root_owner=0:0 -O ^metadata_csum -d "$out/m" "$out/disk.ext4" "$size"
umount "$out/m"; rm -rf --one-file-system "$out/u" "$out/w" "$out/m"
