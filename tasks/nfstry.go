package tasks

import (
	"fmt"

	"github.com/runai-prep/runai-prep/inventory"
	"github.com/runai-prep/runai-prep/remote"
)

// tryMount mounts what is wished in a mount namespace of its own, where nobody
// else sees it, and takes it away again. That a port answers does not say that
// this host is let in, and an export that is refused must be found out before
// the mount that works is taken away and fstab says otherwise; of an automount
// nothing else would find it out at all.
//
// Options, exports and versions are the server's business and the kernel's, so
// nothing but mounting tells. Where a namespace cannot be made, or the same is
// mounted already in a way that cannot be shared, nothing is told, and the
// step says that it was not tried.
func tryMount(m inventory.Mount) remote.Step {
	// In the background, or again and again, mount would not say why.
	options := fstabOptions(m) + ",fg,retry=0"
	return remote.Step{
		Title: "try to mount " + sourceOf(m) + " out of sight",
		Run: &remote.Command{Script: fmt.Sprintf("server=%s export=%s source=%s options=%s\n",
			quote(m.Server), quote(m.Export), quote(sourceOf(m)), quote(options)) + tryScript},
	}
}

// Before version 2.27, as on EL 7, unshare leaves a new namespace sharing its
// mounts with the host, where all would see the trial, and find it in the place
// of the folder that it covers: so the first that is done in it is to end that.
//
// The server's mountd, where there is one, tells an export that does not exist
// from one that is not for this host; NFS 4 says of both that there is no such
// file, NFS 3 that access is denied.
const tryScript = `untried() {
	echo "$source was not tried: $1"
	exit 0
}
command -v unshare >/dev/null || untried "there is no program unshare, which would keep it out of sight"
said=$(unshare -m true 2>&1) || untried "no mount namespace can be made: $said"
mkdir -p /var/lib/runai-prep
said=$(timeout -k 5 40 unshare -m sh -c 'mount --make-rprivate / || exit 99
mount -t nfs -o "$2" -- "$1" "$3" && umount -- "$3"' sh "$source" "$options" /var/lib/runai-prep 2>&1) && exit 0
exit=$?
case $exit:$said in
99:*)
	echo "$source was not tried, for all would see it: a mount namespace of its own cannot be made private${said:+: $said}" >&2
	exit 1
	;;
*'already mounted'* | *' is busy'*) untried "$said" ;;
124:* | 137:*)
	echo "$server lets nothing be mounted within 40s: it is silent, or a firewall lets through less than NFS needs${said:+: $said}" >&2
	exit 1
	;;
*'access denied by server'* | *'No such file or directory'*)
	echo "$said" >&2
	all=$(timeout -k 1 10 showmount --no-headers -e "$server" 2>/dev/null) || exit 1
	for_whom= names=
	while read -r name whom; do
		names=$names${names:+, }$name
		if [ "$name" = "$export" ]; then for_whom=$whom; fi
	done <<LIST
$all
LIST
	case $for_whom in
	'') echo "no such export, nor a folder of one: $server exports ${names:-nothing}" >&2 ;;
	'*' | '(everyone)') echo "$server exports $export to everyone: whether the folder is there has to be seen on the server" >&2 ;;
	*) echo "not permitted: $server exports $export to $for_whom, and that is not this host: its /etc/exports has to name it" >&2 ;;
	esac
	exit 1
	;;
esac
echo "$said" >&2
exit 1
`
