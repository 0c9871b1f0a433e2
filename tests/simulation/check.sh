#!/usr/bin/env bash
# Does the mm on PATH do its work in here? check.sh [CHECKOUT, which has examples/; by default .]
# Prints ok or FAIL for each check; the exit code is 1 when one fails.
set -uo pipefail
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -n "${SIM_INSIDE:-}" ] || exec "$kit/enter.sh" "$kit/check.sh" "$@"
fox=$(realpath "${1:-.}")/examples/quick-fox.png
[ -f "$fox" ] && command -v mm >/dev/null || { echo "check.sh: needs mm on PATH, and $fox" >&2; exit 2; }
python=$(dirname "$(command -v mm)")/python

cd "$(mktemp -d)" || exit 2
mkdir -p own/manifests own/envs/mirror
cat >own/manifests/mirror.yaml <<'Y'
name: mirror
task: mirroring
summary: Gives back what it gets
environment: {python: ">=3.10", dependencies: []}
inputs: {a: {type: array}, seconds: {type: number, default: 0}}
outputs: {a: {type: array, primary: true}, seen: {type: json}}
Y
cat >own/envs/mirror/runner.py <<'P'
import os, select, sys, time
def load(context):
    return None
def run(model, job, *, seconds, a=None):
    until = time.monotonic() + seconds
    while time.monotonic() < until:  # a model that computes, and never looks at job.cancelled
        sum(range(10000))
    proc = os.path.exists("/proc/self")
    seen = [sys.platform, proc, hasattr(os, "memfd_create"), hasattr(select, "epoll")]
    return {"a": b"0" if a is None else a, "seen": seen}
P

failed=0
check() { # NAME: of a function below; what it says is shown when it fails
    local said
    if said=$("$1" 2>&1); then
        echo "ok    $1"
    else
        failed=1
        printf 'FAIL  %s\n%s\n' "$1" "$(tail -n 12 <<<"$said" | sed 's/^/      /')"
    fi
}
own() { mm --manifests own/manifests "$@"; }
field() { # MODEL FIELD: of its live worker
    mm ps --json | "$python" -c 'import json, sys
for row in json.load(sys.stdin)["workers"]: row["model"] == sys.argv[1] and print(row[sys.argv[2]])' "$@"
}
soon() { for _ in {1..100}; do "$@" && return; sleep 0.1; done; echo "not within ten seconds: $*"; return 1; }
busy() { [ "$(field mirror state)" = busy ]; }
stat() { sed 's/.*) //' "$SIM_PROC/$1/stat" 2>/dev/null; } # its state, its parent, and more
gone() { [[ "$(stat "$1")" =~ ^Z?($|[[:space:]]) ]]; }
none() { [ -z "$(mm ps)" ] || { mm ps; return 1; }; }
parent() { stat "$1" | cut -d ' ' -f 2; }

lock-and-build() { own env lock mirror && own env sync mirror; }
seen-as-meant() {
    own run mirror --keep-alive 0 -o seen=seen.json >/dev/null && "$python" - "$SIM_MODE" <<'P'
import json, os, select, sys
client = [sys.platform, os.path.exists("/proc/self"), hasattr(os, "memfd_create"), hasattr(select, "epoll")]
worker = json.load(open("seen.json"))
wanted = {"macos": ["darwin", False, False, False], "no-memfd": ["linux", True, False, True]}
print("client", client, "worker", worker)
sys.exit(not client == worker == wanted.get(sys.argv[1], ["linux", True, True, True]))
P
}
ocr() { mm run ocr --image "$fox" --keep-alive 5m | tee text && grep -qi fox text; }
ps-shows-it() { mm ps && [ "$(field rapidocr jobs)" = 1 ] && [ "$(field rapidocr memory)" -gt 10000000 ]; }
found-again() { local pid; pid=$(field rapidocr pid) && ocr && [ "$(field rapidocr pid) $(field rapidocr jobs)" = "$pid 2" ]; }
tts() { mm run tts --text "Hello there." --keep-alive 5m -o hello.wav && head -c 4 hello.wav | grep -q RIFF; }
pipe() { ocr | mm run tts --text - -o fox.wav && [ "$(wc -c <fox.wav)" -gt "$(wc -c <hello.wav)" ]; }
spoken-and-heard() {
    mm run kokoro --text "Hello there." --keep-alive 0 -o voice.wav &&
        mm run whisper-base --audio voice.wav --keep-alive 0 | tee words && grep -qi "hello there" words
}
stop-one() { mm ps && mm stop hibari && [ -z "$(field hibari pid)" ] && [ "$(field rapidocr jobs)" = 3 ]; }
stop-all() { local pid; pid=$(field rapidocr pid) && mm stop --all && none && gone "$pid"; }
array-of-16-MiB() { # both ways
    "$python" - <<'P'
import array, orchestrator
sent = array.array("f", range(1 << 22))
with orchestrator.Session(manifests=["own/manifests"]) as mm:
    for _ in range(3):
        assert bytes(memoryview(mm.run("mirror", a=sent)["a"]).cast("B")) == sent.tobytes(), "other bytes"
P
}
no-file-left() { cd "${MM_HOME:-$HOME/Library/Application Support/mm}/jobs" && ! find . -type f ! -name .lock | grep .; }
kill-9-worker() {
    "$python" - <<'P' &
import sys, orchestrator
with orchestrator.Session(manifests=["own/manifests"]) as mm:
    error = mm.submit("mirror", seconds=60).exception()
    print(error)
    mm.run("mirror")  # with another worker
    sys.exit("SIGKILL" not in str(error))
P
    soon busy && kill -9 "$(field mirror pid)" && wait $!
}
kill-9-client() {
    mm --manifests own/manifests run mirror --seconds 60 --keep-alive 0 >/dev/null & local client=$! worker
    soon busy && worker=$(field mirror pid) && kill -9 $client && soon gone "$worker" && soon none
}
kill-9-supervisor() {
    own run mirror --seconds 60 >/dev/null & local client=$! worker
    soon busy && worker=$(field mirror pid) && kill -9 "$(parent "$worker")" && soon gone "$worker" &&
        { wait $client; [ $? = 5 ]; } && none && own run mirror --keep-alive 0 >/dev/null
}
time-zone-changes() { # while a worker is kept; /etc/localtime is written by hand: a small machine has no zones
    local pid after
    own run mirror --keep-alive 5m >/dev/null && pid=$(field mirror pid) && parent "$pid" || return
    mv /etc/localtime before
    "$python" -c 'import struct
one = b"TZif2" + bytes(15) + struct.pack(">6llBB", 0, 0, 0, 0, 1, 4, 28800, 0, 0) + b"CST\0"
open("/etc/localtime", "wb").write(one + one + b"\nCST-8\n")'
    after=$(field mirror pid)
    mv before /etc/localtime
    kill "$(parent "$pid")"
    [ "$pid" = "$after" ]
}

for name in lock-and-build seen-as-meant ocr ps-shows-it found-again tts pipe spoken-and-heard stop-one stop-all \
    array-of-16-MiB no-file-left kill-9-worker kill-9-client kill-9-supervisor time-zone-changes; do
    check $name
done
exit $failed
