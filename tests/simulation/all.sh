#!/usr/bin/env bash
# What CI runs in here: real commands with each embedded model, and the contract suites of workers,
# supervisors, engines and the protocol, under one Python and with the engine of the command line.
set -euo pipefail
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ -n "${SIM_INSIDE:-}" ] || exec "$kit/enter.sh" "$kit/all.sh"
cd "$kit/../.."
"$kit/check.sh"
unset MM_TEST_COMPLETE # macOS has less than CI asks for
pytest --quiet --numprocesses 2 -p no:cacheprovider tests/contract/test_{worker,supervisor,protocol,engine}.py \
    -k "3.9-native or test_supervisor or (test_engine and kept and not async and not ray)"
