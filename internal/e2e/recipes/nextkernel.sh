# Inside a layer on tools.sh: the kernel that Debian's security archive ($SECURITY)
# has after that of its main one: its packages in /next, and what gpu-modules.sh
# makes, for it, in /gpu. Its release is in /next/release.
printf 'deb %s bookworm-security main\n' "$SECURITY" > /etc/apt/sources.list.d/next.list
apt-get update -qq
next=$(apt-cache depends --important linux-headers-cloud-amd64 | sed -n 's/^ *Depends: linux-headers-//p' | head -n 1)
case " $(ls /lib/modules) " in *" $next "*) echo "the security archive has no newer kernel than $next" >&2; exit 1 ;; esac
mkdir -p /next/partial
apt-get install -y -qq --no-install-recommends --download-only -o Dir::Cache::archives=/next "linux-headers-$next" "linux-image-$next"
rm -rf /next/partial /next/lock
apt-get install -y -qq --no-install-recommends "linux-headers-$next"
apt-get clean
echo "$next" > /next/release
