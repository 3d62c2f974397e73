# What our scripts use of the shell itself.
a='it'\''s \ "quoted"'; printf '%s\n' "$a"
b=x\ y\'z; printf '<%s>\n' "$b"
case 'a*b' in a\*b) echo star ;; *) echo no ;; esac
case "[E] x" in '[E]'*) echo bracket ;; esac
v=/usr/local/bin; echo "${v##*/} ${v%/*} ${v#/} ${v%%/*}| ${#v} ${unset:-default} ${unset-} ${v:+set}"
nl='
'
t="one${nl}two${nl}"; t=${t%"$nl"}; printf '[%s]\n' "$t"
f() { local x=1; x=$((x + $1)); echo "$x"; return 3; }
f 2; echo $?
( exit 5 ); echo $?
false || echo or; true && echo and; ! false; echo $?
set -- a 'b c' d; echo $#; for i; do printf '<%s>' "$i"; done; echo; shift 2; echo "$*"
printf 'x y\nlast' | { while read -r p q; do echo "$p-$q"; done; echo "[$p]"; }
printf 'a:b:c\n' | { IFS=: read -r x y; echo "$x $y"; }
printf '  lead\\ing \n' | { IFS= read -r l; echo "[$l]"; }
echo "$(printf 'x\n\n\n')."
(set -e; false; echo not here); echo $?
(set -u; echo "$nosuch"; echo not here) 2>/dev/null; [ $? -ne 0 ] && echo unset
eval 'e=1; echo $e; (exit 4)'; echo $?
command -v nosuchprogram; echo $?
command -v printf >/dev/null && echo found
nosuchprogram; echo $?
./nosuchfile; echo $?
echo hi >nodir/file || echo no folder
cat <nofile || echo no file
cat <<END
here $((1 + 2)) $v
END
cat <<'END'
literal $v
END
x=$(cat <<END
nested
END
); echo "$x"
n=0; while [ $n -lt 5 ]; do n=$((n + 1)); [ $n = 2 ] && continue; [ $n = 4 ] && break; echo $n; done
until false; do echo once; break; done
trap 'echo bye' EXIT
echo err >&2
[ a = b ]; echo $?
[ 3 -gt 2 ] && [ -n x ] && [ -z '' ] && [ ! -e nofile ] && echo tests
umask 027; umask
umask 022; : >f1; ls -l f1 | cut -c1-10
for w in *; do echo "$w"; done
echo nomatch*
printf '%s %d %5s|%-5s|%03d %x %c%%\n' str 7 ab cd 5 255 z
printf '%b\n' 'tab\there'
printf '\0' | wc -c
exec 2>&1
exec echo last
