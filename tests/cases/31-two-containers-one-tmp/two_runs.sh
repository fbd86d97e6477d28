#!/bin/bash
# Two runs that share a /tmp of their own, the second in another PID namespace; it starts while the first one runs. The
# folder must not lie under /tmp, nor the environment of bench.
folder=$(mktemp -d -p "$HOME")
trap 'rm -r "$folder"' EXIT
cp study.py second.py "$folder"
cd "$folder"
unshare --mount bash -c '
mount -t tmpfs tmpfs /tmp
mkdir -p /tmp/bench-99999-of_somebody; echo kept > /tmp/bench-99999-of_somebody/file
"$BENCH" run study.py --results first > first.log 2>&1 & first=$!
for second in $(seq 60); do sleep 1; grep -q "1/16 trials" first.log && break; done
kill -0 $first 2> /dev/null && echo "the first still runs"
unshare --pid --fork --mount-proc "$BENCH" run second.py --seeds 7 --results second > second.log 2>&1
echo "status of the second: $?"
wait $first; echo "status of the first: $?"
cat /tmp/bench-99999-of_somebody/file
'
tail -1 first.log; tail -1 second.log
