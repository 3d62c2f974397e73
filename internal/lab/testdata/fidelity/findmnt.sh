# needs: findmnt from util-linux 2.38
# How a new fstab is judged before it takes the old one's place.
fstab() { printf '%s\n' "$@" >t; findmnt --verify --tab-file t; echo "exit $?"; }
fstab '# nothing but this'
fstab 'nas:/x /tmp nfs defaults,_netdev 0 0'
fstab 'nas:/x /nosuchdir nfs _netdev,nofail 0 0'
fstab 'nas:/x /nosuchdir nfs noauto 0 0'
fstab 'nas:/x /etc/passwd nfs _netdev 0 0'
fstab 'bad line' 'nas:/x /tmp nfs defaults 0 0'
fstab 'nas:/x /tmp nfs defaults 0 0' 'nas:/y /tmp nfs defaults 0 0'
fstab 'a b c d e f g h'
fstab 'nas:/x /tmp'
fstab 'nas:/x /tmp nfs'
findmnt --verify --tab-file nofile; echo "exit $?"
findmnt -n -o SOURCE /nosuch; echo "exit $?"
findmnt -n -o FSTYPE /proc | head -n 1
printf 'nas:/a\\040b /mnt/c nfs ro,vers=4.2 0 0\n' >t
findmnt -n -F t -o SOURCE,TARGET,FSTYPE,OPTIONS
