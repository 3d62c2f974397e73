package tasks

// probeKernels finds the kernel of the next boot, and what each of the two has.
const probeKernels = `kernels=' ' newest=
for at in /boot/vmlinuz-* /boot/Image-* /lib/modules/*/vmlinuz; do
	[ -e "$at" ] || continue
	case $at in
	/lib/*)
		try=${at#/lib/modules/}
		try=${try%/vmlinuz}
		;;
	*) try=${at#/boot/*-} ;;
	esac
	[ -d "/lib/modules/$try" ] || continue
	case $kernels in *" $try "*) continue ;; esac
	kernels="$kernels$try "
	if [ -z "$newest" ] || older "$newest" "$try"; then newest=$try; fi
done
# grub_value NAME FILE...: the last that is assigned to NAME, in $value.
grub_value() {
	value= grub_name=$1
	shift
	for grub_file; do
		if [ ! -f "$grub_file" ] || [ ! -r "$grub_file" ]; then continue; fi
		while IFS= read -r line; do
			case $line in "$grub_name="*)
				value=${line#*=}
				value=${value#[\"\']}
				value=${value%[\"\']}
				;;
			esac
		done <"$grub_file"
	done
}
next= why= entry=
if [ -d /boot/grub ] || [ -d /boot/grub2 ]; then
	grub_value GRUB_DEFAULT /etc/default/grub /etc/default/grub.d/*.cfg
	entry=$value
	if [ "$entry" = saved ]; then
		grub_value saved_entry /boot/grub/grubenv /boot/grub2/grubenv
		entry=$value
	fi
	grub_value next_entry /boot/grub/grubenv /boot/grub2/grubenv
	entry=${value:-$entry}
	case $entry in
	'' | 0 | gnulinux-simple-*) next=$newest why='the first entry of grub' ;;
	*)
		for try in $kernels; do
			case $entry in *"$try"*) if [ "${#try}" -gt "${#next}" ]; then next=$try why="the entry that grub has chosen"; fi ;; esac
		done
		;;
	esac
else
	for try in $kernels; do
		if [ /vmlinuz -ef "/boot/vmlinuz-$try" ] || [ /boot/vmlinuz -ef "/boot/vmlinuz-$try" ]; then next=$try why='where the link vmlinuz leads'; fi
	done
fi
if [ -z "$next" ]; then
	next=$newest why='the newest that is installed'
	# Where there is but one, grub has no choice.
	if [ -n "$entry" ] && [ "$kernels" != " $newest " ]; then why="a guess, for grub's entry $entry names none"; fi
	if [ -z "$next" ]; then next=$running why='no other is installed'; fi
fi
printf '@next %s %s\n' "$next" "$why"
`

// probeModules lists for each kernel the files that modprobe may take for
// nvidia, in depmod's order, what DKMS has built for it, and what the first of
// the files says of itself.
const probeModules = `of_kernel() {
	printf '@modules %s\n' "$1"
	if [ -e "/lib/modules/$1/build/Makefile" ]; then echo '!headers'; fi
	of_first=
	for file in "/lib/modules/$1"/updates/nvidia*.ko* "/lib/modules/$1"/updates/*/nvidia*.ko* \
		"/lib/modules/$1"/extra/nvidia*.ko* "/lib/modules/$1"/extra/*/nvidia*.ko* "/lib/modules/$1"/extra/*/*/*/nvidia*.ko* \
		"/lib/modules/$1"/kernel/drivers/video/nvidia*.ko* "/lib/modules/$1"/kernel/drivers/video/nvidia/nvidia*.ko* \
		"/lib/modules/$1"/kernel/drivers/char/drm/nvidia*.ko* "/lib/modules/$1"/kernel/nvidia-*/nvidia*.ko* \
		"/lib/modules/$1"/weak-updates/nvidia*.ko* "/lib/modules/$1"/weak-updates/*/nvidia*.ko* "/lib/modules/$1"/weak-updates/*/*/*/nvidia*.ko*; do
		[ -e "$file" ] || continue
		try=${file##*/}
		case ${try%%.ko*} in
		*-drm | *-modeset | *-uvm | *-peermem | *-vgpu* | nvidia-wmi-*) continue ;;
		nvidia | nvidia-current* | nvidia-open* | nvidia-legacy* | nvidia-tesla*) ;;
		*) continue ;;
		esac
		printf '|%s\n' "$file"
		of_first=${of_first:-$file}
	done
	if [ -n "$of_first" ]; then modules=$modules$of_first$nl; else lacking=yes; fi
	for tree in /var/lib/dkms/nvidia*; do
		for at in "$tree"/[0-9]*; do
			[ -d "$at" ] || continue
			state=added
			for try in "$tree/kernel-$1"-*; do
				if [ "$try" -ef "$at/$1/${try##*-}" ]; then state=installed; fi
			done
			if [ "$state" = added ] && [ -d "$at/$1" ]; then state=built; fi
			line "$at/build/make.log"
			if [ "$state" = added ]; then case $line in *" $1 "*) state=failed ;; esac; fi
			printf '@dkms %s %s %s %s\n' "${tree##*/}" "${at##*/}" "$1" "$state"
		done
	done
}
modules= lacking=
of_kernel "$running"
if [ "$next" != "$running" ]; then of_kernel "$next"; fi
built=' ' # versions on disk
built_open=
if [ -n "$modules" ]; then
	IFS=$nl
	set -f
	set -- $modules
	set +f
	IFS=' 	'$nl
	# Their signatures are of no use to a reader, and long.
	echo @modinfo
	modinfo_out=$(modinfo "$@" 2>&1)
	modinfo_exit=$?
	IFS=$nl
	set -f
	for line in $modinfo_out; do
		case $line in
		filename:* | license:* | version:* | signer:* | sig_id:* | *rror*) printf '|%s\n' "$line" ;;
		esac
		case $line in
		version:*) built="$built${line##*[ 	]} " ;;
		license:*MIT*) built_open=yes ;;
		esac
	done
	set +f
	IFS=' 	'$nl
	if [ "$modinfo_exit" != 0 ]; then echo "!exit $modinfo_exit"; fi
fi
if command -v dkms >/dev/null; then echo '@tool dkms'; fi
for try in update-initramfs dracut mkinitrd; do
	if command -v "$try" >/dev/null; then
		printf '@initramfs %s\n' "$try"
		break
	fi
done
`
