# A lock that a process has, and that goes with it.
flock -n -o lock sh -c 'echo have; flock -n -o lock echo two; echo $?; flock -n -E 9 lock echo two; echo $?'; echo $?
flock -n -o lock sh -c 'exit 7'; echo $?
flock -n -o nofolder/lock true; echo $?
flock -n -o lock nosuchprogram; echo $?
flock -n lock -c 'echo $1 by the shell'
flock -w 0.05 lock sh -c 'flock -w 0.05 lock echo two; echo $?'
(flock -n -o lock sh -c ': >has; until [ -e go ]; do sleep 0.01; done') & 
until [ -e has ]; do sleep 0.01; done
flock -n -o lock true; echo $?
: >go
flock -w 5 -o lock echo waited
wait
# What its command leaves behind does not have it, with -o.
flock -n -o lock sh -c 'sleep 5 >/dev/null 2>&1 & echo $! >left'; flock -n lock echo free; kill "$(cat left)"
setsid sh -c 'read -r pid x y z group session rest </proc/self/stat; [ "$pid" = "$group" ] && [ "$pid" = "$session" ] && echo a session of its own' | cat
printf 0123456789 >digits; tail -c +4 digits; echo; tail -c 3 digits; echo; tail -c +20 digits; head -c 4 digits; echo
dd if=digits bs=1 skip=4 count=3 2>/dev/null; echo
