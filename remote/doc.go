// Package remote is one host at the end of SSH: dial, hops, host keys, sudo,
// run, upload, reboot. It is the only package that speaks SSH.
//
// Where things are:
//
//	remote.go    the vocabulary: Target, Dialer, Conn, Error, CommandError
//	step.go      what Do carries out, as data
//	route.go     who is on the way to a target; sshconfig.go what ~/.ssh/config says of it
//	dial.go      connect, handshake, stages, retries; hops.go the bastions, shared
//	auth.go      in which order who we are is proved; keys.go identity files
//	hostkeys.go  known_hosts; scan.go host keys for a person to trust
//	keepalive.go a peer that falls silent is lost
//	exec.go      one program on the host; sudo.go how it becomes root's
//	batch.go     several scripts in one exec, each with its deadline; sections.go tells
//	             their output apart; look.go all probes so
//	reach.go     endpoints outside, as the host's network meets them; reachtools.go
//	             with the host's own tools where its sshd forwards nothing; reachwhy.go
//	             why some did not answer, reachtrust.go whom the host trusts
//	kill.go      ends what still runs on the host
//	do.go        steps: file.go, packages.go with apt.go and rpm.go, reboot.go,
//	             uploadfile.go; upload.go brings content
//	detached.go  jobs: steps that outlive the connection; follow.go those of others
//	lock.go      who may work on a host; work.go who does, job.go in words
//	quote.go     values into a shell; text.go a stranger's words onto a terminal
//
// # What runs on the host
//
// Every program starts with one exec request. Its string is one simple line
// that sh, dash, bash, busybox, csh, tcsh and fish as login shells read alike,
// and nothing in it comes from an inventory (TOKEN is random, of letters and
// digits only). It has one of three forms:
//
//	/bin/sh -c 'echo TOKEN; read -r m s; [ "$m" = TOKEN ] && eval "$s"'
//	env LC_ALL=C sudo -n /bin/sh -c 'echo TOKEN; …the same…'
//	env LC_ALL=C sudo -S -p PROMPT /bin/sh -c 'echo TOKEN; …the same…'
//
// The first serves root and sudo { enabled = false }, the second everyone
// without a sudo password. The third is answered once with the password and a
// newline after PROMPT (prompt-, letters, a colon) was seen on stderr, and nothing else is
// sent before TOKEN was seen on stdout: a sudo that does not ask never hands
// the password to a shell.
//
// What follows comes on standard input. Its first line begins with TOKEN, for
// a start-up file that swallows standard input must not leave half a script
// to root, and goes on with commands that are evaluated at once:
//
//	TOKEN LC_ALL=C PATH=/usr/local/sbin:… ; export …; umask 022; cd /; echo TOKEN >&2; …
//
// Of stderr nothing before that second TOKEN counts. The line ends in one of
//
//	if command -v timeout >/dev/null 2>&1; then exec timeout -k MERCY SECONDS /bin/sh; else exec /bin/sh; fi
//	umask 077; head -c BYTES >FILE; echo WORD $?       the rest of stdin is content, where SFTP is off
//	umask 077; for f in PATHS; do if [ -x "$f" ]; then …; exec timeout -k 5 SECONDS "$f"; …; fi; done
//	                                                   the rest is the SFTP protocol, with the host's sftp-server
//	{ others() { …; }; hit() { …; }; …; case "$s" in ''|START) … kill …;; esac; } 2>/dev/null
//	for f in flock setsid; do command -v $f …; done; mkdir -p …; exec flock -n -o LOCK /bin/sh -c '…' keeper ID RUN WHO WORD
//	                                                   the rest are lines: beats, and "end"
//	id -u                                              where sudo is not found
//
// In the first case, the common one, the rest of stdin is a script. It begins
// by printing its process group and its session, each with its leader's start
// time, read by the shell itself from /proc/self/stat, /proc/GROUP/stat and
// /proc/SESSION/stat (where these are absent the group is not killed by us,
// only by timeout), then each section is
//
//	printf '\n%s b %s\n' MARK 0; printf … >&2
//	( eval 'the probe, quoted' ) </dev/null
//	printf '\n%s e %s %s\n' MARK 0 $?; printf … >&2
//
// eval in a subshell keeps a syntax error, an exit or a set -e of one probe
// from the others. A probe that says of itself that it does without runs as
// eval … </dev/null, one process less; should it end the shell all the same,
// the sections after it are asked for in one more exec. Commands of steps run
// as a look of one section.
//
// When a section hangs, floods, or the caller cancels, a second exec of the
// same form kills the process group, with kill -s KILL -- -GROUP, if its leader
// is still the process it was, and then what has left it for a group of its own
// in the same session, as a nested timeout does: a loop of built-ins over
// /proc/[0-9]*/stat finds those. A step's groups are sent TERM first, and have
// some seconds to tidy up. When a connection is lost instead, the host's timeout
// ends the group.
//
// An exec is over, and the next one sent, when the host has closed its channel,
// or two seconds after its last word: sshd counts it against MaxSessions until
// then. Where a channel is refused all the same it is asked for again, for some
// seconds; the second exec that kills then goes through a second connection.
//
// Where sudo insists on a terminal (requiretty) the same is done once more with
// a pty-req in raw mode without echo, with head -c BYTES | /bin/sh in the place
// of timeout (the hang-up ends it), and with the sections' stderr discarded, as
// a terminal has but one stream.
//
// # Jobs and the lock
//
// All of it is below /var/lib/runai-prep. A program of ours on the host, the
// keeper, holds a flock on the file lock as long as it reads from us, and tells
// in lock.by who we are, with its pid, its start time and the boot, by which a
// file that was left behind is known. It writes down our beats in lock.beat: a
// keeper that has heard none for three minutes, because its controller was cut
// off without a word, is killed by the next who asks for the lock. Each step
// begins by looking whether lock.by is still ours.
//
// A job is a folder below jobs, root's alone: script, wrap (which runs it),
// about (when, limit, lock; run; who; title), log, pid, exit. The step that
// starts it runs
//
//	setsid [systemd-run --quiet --scope --unit=runai-prep-job-ID] flock -n -o job /bin/sh …/wrap … </dev/null >>…/log 2>&1 &
//
// with the scope where the login is in one of logind's, which may end everything
// in it with its last connection, or in sshd's own unit, and returns once pid is
// there. The wrap runs
//
//	timeout -k MERCY LIMIT /bin/sh …/script </dev/null
//
// with $runai_prep_job as the folder, lets what is left in the session at the
// end of that time tidy up, and writes exit beside and renames it. Following is
// one more step: a loop that sleeps for a second, prints what the log has more,
// and marks how far it has come, so that another connection can go on there.
// When a connection is lost the job is followed over a new one, and when nobody
// follows it runs to its end. A pid without a process and without an exit is a
// job that was cut off.
//
// Scripts of steps and jobs keep to descriptors 0 to 2, and to what dash, busybox
// ash, bash and the interpreter of the practice hosts (mvdan.cc/sh) all read.
//
// # Programs that a host needs
//
// For a look: sshd, /bin/sh with POSIX built-ins (echo, printf, read, eval,
// command -v, export, umask, cd, unset); env and sudo where the user is not
// root; timeout where there is one. For steps also: cat, chmod, chown, cp, dd,
// head -c, mkdir -p, mv -f, readlink -f, rm -f, sha256sum, sleep, stat -c; date and
// id on errands only (stale files, a user without root); chcon and restorecon
// under SELinux only; sftp-server where there is one, at a path found by [ -x ];
// systemctl reboot, else reboot, and /proc/sys/kernel/random/boot_id. An upload
// also needs df -P -k. The lock and jobs need flock and setsid, of util-linux, date
// +%s, sleep, stat -c, tail -c, head -c, and systemd-run where systemd runs;
// packages uname -r, tr on errands, and apt-get with apt-mark, dpkg and
// dpkg-query, dnf or yum with rpm, or zypper.
package remote
