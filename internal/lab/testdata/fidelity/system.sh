# What our scripts use of processes and the rest.
timeout 5 true; echo $?
timeout 5 sh -c 'exit 7'; echo $?
timeout 0.1 sleep 5; echo $?
timeout -s KILL 0.1 sleep 5; echo $?
timeout -k 5 5 echo in time; echo $?
timeout 5 nosuchprogram; echo $?
env X=1 sh -c 'echo $X'
env -i sh -c 'echo "[$X]"'
env nosuchprogram; echo $?
LC_ALL=C sh -c 'echo $LC_ALL'
sh -c 'echo $0 $1' name arg
echo 'echo from stdin $1' | sh -s arg
sh nofile; echo $?
sh -c 'if' 2>/dev/null; echo $?
printf 'echo "$1"\n' >s; sh s argument
(sleep 0.01; echo later) & wait; echo waited
sh -c 'exit 3' & wait $!; echo $?
sleep 5 & kill $!; wait $!; echo $?
kill -0 $$; echo $?
true | false; echo $?
id -u >/dev/null && echo id
uname -s
sleep x 2>/dev/null; echo $?
date +%Y | grep -c '^20'
nohup true >/dev/null 2>&1; echo $?
[ "$(date -u +%s)" -gt 1700000000 ] && echo time
which nosuchprogram; echo $?
