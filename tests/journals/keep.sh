#!/bin/sh
# Keeps the journals of four real rollouts of this version, for every later one to verify.
#
#   tests/journals/keep.sh target/release/wavegate NAME
#
# NAME is the folder that is made here: the version, and before its release the day too. What is in
# a journal stays there, so everything runs in a folder that is the same on every machine.
set -eu

program=$(realpath "$1")
name=$2
here=$(realpath "$(dirname "$0")")
kept=$here/$name
work=/tmp/wavegate-kept
port=18481

if [ -e "$kept" ] || [ -e "$work" ]; then
    echo "$kept or $work is there already" >&2
    exit 2
fi
for variable in $(env | sed -n 's/^\(WAVEGATE_[A-Z_]*\)=.*/\1/p'); do unset "$variable"; done
unset SUDO_USER || true
USER=ada
export USER
mkdir -p "$work/bin" "$kept/components"
cp "$program" "$work/bin/wavegate"

wavegate() { "$work/bin/wavegate" --state "$work/$story/state" --format human "$@"; }

# A fleet of two clusters of two nodes, with short waits, so that a journal stays small.
fleet() {
    story=$1
    demo=$work/$story/demo
    mkdir -p "$work/$story"
    wavegate init "$demo" --port "$port"
    port=$((port + 3))
    sed -i -e '/- name: ap-1/,$d' -e 's/nodes: 4/nodes: 2/' "$demo/fleet.yaml"
    sed -i -e 's/siteSoak: 2s/siteSoak: 600ms/' -e 's/siteSoak: 1s/siteSoak: 600ms/' \
        -e 's/soak: 2s/soak: 600ms/' -e "s/{nodes: 25%, traffic: 10%, wait: 4s}/{nodes: 50%, traffic: 10%, wait: $2}/" \
        -e 's/maxUnavailable: 25%/maxUnavailable: 1/' -e '/- {nodes: 50%, wait: 500ms}/d' -e 's/minRequests: 5/minRequests: 2/' -e 's/minSamples: 5/minSamples: 2/' \
        "$demo/policy.yaml"
}

# The journal without its write-ahead log, and the components that it names.
keep() {
    wavegate down "$demo"
    wavegate replay --verify
    sqlite3 "$work/$story/state/journal.db" \
        "pragma wal_checkpoint(truncate); vacuum into '$kept/$story.db'"
    cp -n "$work/$story/state/plugins/components/"*.wasm "$kept/components/"
}

fleet good 600ms
wavegate quickstart "$demo" --keep
keep

# It fails real requests after three seconds.
fleet rolled-back 5s
wavegate quickstart "$demo" --bad --keep || test $? -eq 11
keep

fleet resumed 600ms
wavegate quickstart "$demo" --fleet-only
(WAVEGATE_CRASH_AT=turn:after-commit:30 && export WAVEGATE_CRASH_AT && wavegate run "$demo" --rollout shop-2) || true
wavegate resume last
keep

# The strategy is swapped while its first stage waits.
fleet swapped 3s
echo '{}' >"$work/$story/rolling.yaml"
wavegate quickstart "$demo" --fleet-only
wavegate run "$demo" --rollout shop-2 &
run=$!
until wavegate plugin swap last strategy=rolling --config "$work/$story/rolling.yaml" --reason "one node at a time"; do
    sleep 0.2
done
wait $run
keep

rm -rf "$work"
ls -l "$kept" "$kept/components"
