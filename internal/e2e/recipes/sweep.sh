# sweep.sh RUN NAME LOCK: end everything the run NAME started and remove what
# it left: processes (those of its control groups, no others), namespaces,
# mounts below RUN, and RUN. With LOCK, wait for its owner to be gone first.
run=$1 name=$2 lock=$3
if [ -n "$lock" ]; then exec 9>>"$lock"; flock 9 || exit 1; fi
[ -d "$run" ] || exit 0
groups() { for h in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do [ -d "$h/$name" ] && echo "$h/$name"; done; }
tries=0
while [ $tries -lt 100 ]; do
  pids=$(for g in $(groups); do find "$g" -name cgroup.procs -exec cat {} + 2>/dev/null; done | sort -un)
  [ -n "$pids" ] || break
  kill -KILL $pids 2>/dev/null
  tries=$((tries + 1)); sleep 0.1
done
for n in /run/netns/"$name" /run/netns/"$name"-*; do
  [ -e "$n" ] && ip netns del "${n##*/}" 2>/dev/null
done
# What a systemd-nspawn that was killed leaves of its own.
for d in "$run"/machines/*/root; do
  [ -d "$d" ] && rm -f "/run/systemd/nspawn/locks/inode-$(stat -c %d:%i "$d")"
done
for d in /run/systemd/nspawn/propagate/"$name"-*; do [ -d "$d" ] && rmdir "$d"; done
# Innermost first: the reverse of the order in which they were mounted.
list=; while read -r _ _ _ _ point _; do
  case $(printf '%b' "$point") in "$run"/*) list="$point
$list";; esac
done < /proc/self/mountinfo
printf '%s' "$list" | while read -r point; do
  point=$(printf '%b' "$point"); umount "$point" 2>/dev/null || umount -l "$point"
done
for g in $(groups); do find "$g" -depth -type d -exec rmdir {} \; 2>/dev/null; done
rm -rf --one-file-system "$run"
[ -z "$lock" ] || rm -f "$lock"
exit 0
