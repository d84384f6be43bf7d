#!/bin/bash
# The demo: run by `make demo` inside the sandbox, whose folder is in
# MRELEASE_SANDBOX. It releases an app, releases it again from an empty build
# state, and verifies the record; it releases the app's next version as a plan that was
# approved, goes back to the first one, and withdraws the next; then an app that mrelease
# seals itself, which has to prove itself by a run before it is sold, and of which a
# requester buys a run; and it builds both twice to show that they can be reproduced.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/bin:$PATH"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A fixed time, and --allow-dirty, so that the demo also runs in a source archive
# without git, and while one works on the examples.
export SOURCE_DATE_EPOCH=1700000000

# run APP STATE COMMAND... runs mrelease for an example.
run() {
	local app=$1 state=$2
	shift 2
	MRELEASE_STATE="$work/$state" mrelease "$@" --config "examples/$app/mrelease.yaml" --config "$MRELEASE_SANDBOX/mrelease.yaml"
}

title() { printf '\n== %s\n$ mrelease %s\n' "$1" "$2" >&2; }
started=$SECONDS
rm -rf dist

title "1. Release an app" "release --allow-dirty --version 1.0.0"
run hello-python first release --allow-dirty --version 1.0.0
cp dist/record.json "$work/first.json"

title "2. Release it again, from an empty build state" "release --allow-dirty --version 1.0.0"
run hello-python second release --allow-dirty --version 1.0.0
cmp "$work/first.json" dist/record.json
echo "both runs wrote the same record" >&2

title "3. Verify the record" "verify dist/record.json"
run hello-python second verify dist/record.json

# The next version greets in another way. Its source is a copy, since this one is yours.
cp -r examples/hello-python "$work/next"
sed -i 's/Hello, /Good evening, /' "$work/next/src/app.py"

title "4. Plan the next version, and release what was approved; the first is sold no more" "plan --version 1.1.0 -o dist/plan.json; mrelease apply dist/plan.json"
run hello-python first plan --allow-dirty --version 1.1.0 --context "$work/next" -o dist/plan.json
run hello-python first apply dist/plan.json --allow-dirty --version 1.1.0 --context "$work/next"
cp dist/record.json "$work/second.json"

title "5. It is bad: sell the first again, and end the sale of the bad one" "rollback --record 1.0.0.json; mrelease order list --record 1.0.0.json"
run hello-python first rollback --record "$work/first.json"
run hello-python first order list --record "$work/first.json"

title "6. Withdraw the bad one for good: whoever verifies it is told" "revoke 1.1.0 --why 'greets at noon'; mrelease verify 1.1.0.json"
run hello-python first revoke 1.1.0 --why 'greets at noon'
code=0
run hello-python first verify --no-run "$work/second.json" || code=$?
[ "$code" = 12 ] || { echo "verify ended with $code; want 12" >&2; exit 1; }

title "7. Release an app that mrelease seals, after a run of it was good" "release --allow-dirty --version 1.0.0 --canary --deposit"
export MRELEASE_CANARY_PARAMS=canary MRELEASE_CANARY_MAX_PRICE=100 MRELEASE_CANARY_FILE=result.txt
MRELEASE_CANARY_DIGEST="sha256:$(printf 'Hello, canary!\n' | sha256sum | cut -d ' ' -f 1)" MRELEASE_RECORD=dist/hello-binaryfs.json \
	run hello-binaryfs first release --allow-dirty --version 1.0.0 --image "$SANDBOX_REGISTRY/hello-binaryfs" --canary --deposit

# request COMMAND... runs mrelease request for the wallet of the sandbox.
request() { mrelease request "$@" --config "$MRELEASE_SANDBOX/mrelease.yaml"; }
keys="$work/keys"

title "8. Buy a run of it: a key for results, an order, the run" "request key new; request key push; request order; request run"
request key new --folder "$keys" >/dev/null
request key push --folder "$keys"
request order --app dist/hello-binaryfs.json --tag tee,scone --params '{"iexec_args":"requester","iexec_result_encryption":true}' \
	--workerpool-max-price 100 --deposit --file "$work/request.json" >/dev/null
request run "$work/request.json" --folder "$keys" --to "$work/result" >/dev/null
cat "$work/result/result.txt"

title "9. Reproduce the first: its seal is random, what it measures is not" "reproduce"
run hello-python third reproduce --version 1.0.0 --progress quiet

title "10. Reproduce the second: all of it" "reproduce"
run hello-binaryfs third reproduce --version 1.0.0 --progress quiet

printf '\ndone in %d s; the record is dist/record.json\n' "$((SECONDS - started))" >&2
