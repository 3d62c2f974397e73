#!/bin/sh
# The main job on the practice fleet: plan, apply, check. `make demo` runs it;
# the hosts are up while it runs, and it runs in their folder.
XDG_STATE_HOME=$PWD/state; export XDG_STATE_HOME # its own memory of past checks
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { say "\$ $*"; "$@"; code=$?; say "(exit code $code)"; }

run runai-prep validate inventory.hcl
run runai-prep plan inventory.hcl
run runai-prep apply -y inventory.hcl
say 'A second apply finds nothing left to do on the hosts that could be mended:'
run runai-prep apply -y inventory.hcl
run runai-prep check inventory.hcl

cat <<'NEXT'

What to try next:
  bin/runai-prep lab                       the same fleet, for your own hands (Ctrl-C ends it)
  cd runai-prep-lab && ../bin/runai-prep facts inventory.hcl
  ../bin/runai-prep plan inventory.hcl -o json | less
  ssh -i id_ed25519 -o UserKnownHostsFile=known_hosts …    make drift by hand, then check
  docs/inventory.md                        what an inventory can say
NEXT
