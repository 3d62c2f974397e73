# What our scripts use of coreutils, on files.
umask 022
mkdir d; mkdir d; echo $?
mkdir -p d/e/f && ls d
mkdir nosuch/dir; echo $?
echo content >d/file; cat d/file nofile; echo $?
cp d/file d/copy; cmp d/file d/copy; echo $?
echo other >d/copy; cmp d/file d/copy; echo $?
cmp -s d/file d/copy; echo $?
cmp d/file nofile; echo $?
printf 'content' >d/short; cmp d/file d/short; echo $?
cp nofile x; echo $?
cp d x; echo $?
cp -p d/file d/kept; stat -c '%a %s %F %n' d/kept d d/short
chmod 600 d/file; stat -c %a d/file; chmod u+x,g=r d/file; stat -c '%a %A' d/file
chmod 644 nofile; echo $?
mv -f d/copy d/file; cat d/file; mv nofile x; echo $?
ln -s file d/link; readlink d/link; readlink d/file; echo $?
ln -s nowhere d/dangling; [ -L d/dangling ] && [ ! -e d/dangling ] && echo dangling
cat d/dangling; echo $?
ln -s file d/link; echo $?
rm nofile; echo $?; rm -f nofile; echo $?; rm d; echo $?
rmdir d; echo $?
rm -rf d/e; ls d
stat -c %s nofile; echo $?
ls nofile; echo $?
touch new; stat -c '%s %F' new
echo 1234567890 >t; head -c 4 t; echo; tail -c 4 t
printf '1\n2\n3\n4\n' >l; head -n 2 l; tail -n 1 l; tail -n +3 l; wc -l <l; wc -c <l
sha256sum <l; sha256sum l
sort -r l | head -n 1
grep -c . l; grep -q 3 l; echo $?; grep 9 l; echo $?; grep -F -e 1 -e 4 l; grep -q x nofile; echo $?
grep -n '^[23]$' l; grep -v 1 l | grep -x 2; grep -sH 2 l nofile; echo $?
printf 'a b\n' | cut -d' ' -f2; printf 'x\0y' | tr '\0' '\n'; echo
printf 'A-B' | tr 'A-Z' 'a-z'; echo
dd if=/dev/null of=t conv=notrunc,fsync 2>/dev/null; cat t
dd if=t bs=1 count=3 2>/dev/null; echo
basename /a/b/c.txt .txt; dirname /a/b/c.txt; dirname c
t2=$(mktemp ./tmp.XXXXXX) && [ -f "$t2" ] && stat -c %a "$t2"; rm -f "$t2"
d2=$(mktemp -d ./tmp.XXXXXX) && stat -c %a "$d2"
install -m 640 l inst; stat -c %a inst; install -d -m 700 instd; stat -c %a instd
: >empty; [ -s empty ] || echo empty
sync empty; echo $?; sync nofile; echo $?
echo tee | tee t3; cat t3
test -d d -a -f l && echo both
expr 1 >/dev/null 2>&1 || :
seq 1 >/dev/null 2>&1 || :
# The same file by two names, and which of two is newer.
mkdir ef; echo a >ef/a; ln ef/a ef/b; ln -s a ef/c; echo a >ef/d
[ ef/a -ef ef/b ] && echo link; [ ef/c -ef ef/a ] && echo symlink; [ ef/a -ef ef/d ] || echo another; [ ! ef/a -ef ef/d ] && echo not; test ef/none -ef ef/none || echo none
if [ -e ef/a ] && [ ! ef/a -ef ef/d ]; then echo both; fi
sleep 0.02; : >ef/e; [ ef/e -nt ef/a ] && echo newer; [ ef/a -nt ef/e ] || echo older
