#!/usr/bin/env bash
# What action.yml runs. It finds the program: the file that the input binary names, or
# the release of this action's own version, whose name, size and SHA-256 stand in
# release.sums of the same commit, so that who pins the action has pinned the program.
# Then it lets the program say what the job calls for, and runs that.
#
# Inputs are environment variables that begin with MRELEASE_INPUT_. None becomes part of
# a command line but as one argument, and none is printed: the runner would obey it.
set -euo pipefail

# fail MESSAGE: words of our own, and values whose form was checked.
fail() {
	printf '::error::mrelease: %s\n' "$1"
	exit 2
}

action=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# hash FILE prints its SHA-256. The program has 50 MB, and openssl, where it is, uses what
# the processor has for it: a quarter of the time of some sha256sum.
hash() {
	if command -v openssl >/dev/null; then
		openssl dgst -sha256 -r
	elif command -v sha256sum >/dev/null; then
		sha256sum
	else
		shasum -a 256
	fi <"$1" | cut -d ' ' -f 1
}

# is_release FILE: is it, byte for byte, the one in release.sums?
is_release() {
	[ -f "$1" ] && [ ! -L "$1" ] && [ "$(wc -c <"$1" | tr -d ' ')" = "$size" ] && [ "$(hash "$1")" = "$sum" ]
}

# read_sums finds version, name, size and sum of this machine's program.
read_sums() {
	local sums=$action/release.sums os arch line
	[ -f "$sums" ] || fail 'this commit of the action has no release.sums: it is no release. Use the commit of a release, or name a program with binary'
	case ${RUNNER_OS:-} in
	Linux) os=linux ;; macOS) os=darwin ;; Windows) os=windows ;;
	*) fail 'RUNNER_OS is none of Linux, macOS and Windows: name a program with binary' ;;
	esac
	case ${RUNNER_ARCH:-} in
	X64) arch=amd64 ;; ARM64) arch=arm64 ;;
	*) fail 'RUNNER_ARCH is neither X64 nor ARM64: name a program with binary' ;;
	esac
	{
		IFS= read -r line || true
		[[ $line =~ ^'# version '([0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?)$ ]] || fail 'the first line of release.sums is not "# version X.Y.Z"'
		version=${BASH_REMATCH[1]} name='' size='' sum=''
		local want=mrelease_${version}_${os}_$arch
		[ "$os" != windows ] || want=$want.exe
		while IFS= read -r line || [ -n "$line" ]; do
			[[ $line =~ ^([0-9a-f]{64})'  '([0-9]{1,12})'  '([0-9A-Za-z][0-9A-Za-z.~+_-]*)$ ]] || fail 'a line of release.sums is not "SHA-256  size  name"'
			[ "${BASH_REMATCH[3]}" = "$want" ] || continue
			[ -z "$name" ] || fail "release.sums has $want twice"
			sum=${BASH_REMATCH[1]} size=${BASH_REMATCH[2]} name=${BASH_REMATCH[3]}
		done
		[ -n "$name" ] || fail "release.sums has no $want: name a program with binary"
	} <"$sums"
}

# find_release sets url: on the server that the action is from, unless the input download
# names another place.
find_release() {
	local repository=$MRELEASE_ACTION_REPOSITORY
	url=$MRELEASE_INPUT_DOWNLOAD
	if [ -z "$url" ]; then
		# The runner does not always say it (actions/runner#2473), but keeps actions by it.
		if [ -z "$repository" ] && [[ $action =~ /_actions/([^/]+/[^/]+)/[^/]+$ ]]; then repository=${BASH_REMATCH[1]}; fi
		[[ $repository =~ ^[0-9A-Za-z._-]+/[0-9A-Za-z._-]+$ ]] || fail 'nothing says of which repository this action is: name a program with binary, or where the releases are with download'
		url=${GITHUB_SERVER_URL:-https://github.com}/$repository/releases/download
	fi
	[[ $url =~ ^https://[0-9A-Za-z._:/-]+$ ]] || fail 'the releases must be at an https:// address without user, query or spaces'
	url=${url%/}/v$version/$name
}

# fetch FILE gets the program, and checks it before anybody can run it.
fetch() {
	local status=0 code got
	find_release
	part=$(mktemp "$(dirname "$1")/.mrelease-XXXXXX")
	trap 'rm -f "$part"' EXIT
	# Without a length in its head curl takes an answer without end: the limit of files holds it.
	code=$(
		ulimit -f $((size / 1024 + 1)) 2>/dev/null || true
		curl --silent --show-error --fail --location --max-redirs 5 --proto =https --proto-redir =https \
			--connect-timeout 15 --max-time 300 --speed-limit 8192 --speed-time 30 --max-filesize "$size" \
			--retry 2 --retry-all-errors --retry-max-time 120 --write-out '%{http_code}' --output "$part" -- "$url"
	) || status=$?
	got=$(wc -c <"$part" | tr -d ' ')
	case $status:$code in
	0:*) ;;
	*:404 | *:410) fail "there is no $url ($code): the release was taken away, or is not on this server (input download)" ;;
	*:401 | *:403) fail "the server refuses $url ($code): it needs a login, a proxy forbids it, or it is asked too often" ;;
	*:429) fail "the server is asked too often for $url ($code): run the job again later" ;;
	63:* | 23:* | 153:*) fail "$url has more bytes than the $size of release.sums" ;;
	*) fail "fetching $url: curl ends with $status, the server with ${code:-nothing}, after $got of $size bytes" ;;
	esac
	[ "$got" = "$size" ] || fail "$url has $got bytes, and $size in release.sums: it is not the release"
	[ "$(hash "$part")" = "$sum" ] || fail "$url has another SHA-256 than $sum in release.sums: it is not the release"
	chmod 0755 "$part"
	mv -f "$part" "$1"
	trap - EXIT
}

# find_binary sets binary.
find_binary() {
	local folder
	if [ -n "$MRELEASE_INPUT_BINARY" ]; then
		binary=$MRELEASE_INPUT_BINARY
		[[ $binary == */* ]] || binary=./$binary
		if [ ! -f "$binary" ] || [ ! -x "$binary" ]; then fail 'the file that binary names is not there, or is no program'; fi
		return
	fi
	read_sums
	folder=${RUNNER_TOOL_CACHE:-${RUNNER_TEMP:?}}/mrelease/$version/$RUNNER_ARCH
	if ! mkdir -p "$folder" 2>/dev/null || [ ! -w "$folder" ]; then
		echo 'the tool cache cannot be written: the program is kept for this job only'
		folder=${RUNNER_TEMP:?}/mrelease/$version
		mkdir -p "$folder"
	fi
	binary=$folder/$name
	if is_release "$binary"; then
		echo "mrelease $version, from the tool cache"
		return
	fi
	if [ -e "$binary" ] || [ -L "$binary" ]; then
		echo 'the tool cache has something else than the release: fetching it again'
		rm -rf -- "$binary"
	fi
	fetch "$binary"
	echo "mrelease $version, fetched and compared with release.sums"
}

# lines VARIABLE FLAG... appends each line that is not empty to args, after the flag.
lines() {
	local line
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line%$'\r'}
		[ -z "$line" ] || args+=("${@:2}" "$line")
	done <<<"$1"
}

# value FLAG VALUE appends a flag unless its value is empty.
value() { [ -z "$2" ] || args+=("$1=$2"); }

# needs_root: would the builder in the program work as root only, and may we be that?
needs_root() {
	[ "$mode" != plan ] && [ "${RUNNER_OS:-Linux}" = Linux ] && [ "$(id -u)" != 0 ] && [ -z "${BUILDKIT_HOST:-}" ] &&
		[[ $MRELEASE_INPUT_BUILDER == '' || $MRELEASE_INPUT_BUILDER == embedded ]] && sudo -n -E true 2>/dev/null
}

# as_root runs the program, and gives what it made to the job's user: the next checkout
# could not remove it.
as_root() {
	local child status=0
	echo 'the builder runs with sudo'
	sudo -n -E -- "$@" &
	child=$!
	trap 'kill -TERM "$child" 2>/dev/null || true' INT TERM
	wait "$child" || status=$?
	if kill -0 "$child" 2>/dev/null; then wait "$child" || status=$?; fi # a signal ended the first wait
	[ ! -d dist ] || [ -L dist ] || sudo -n chown -R "$(id -u):$(id -g)" dist
	exit "$status"
}

# Passwords are for a release only; what the job's own environment has is kept when an
# input is empty.
unset wallet cosign # or they would stay in the environment, if the job has such variables
wallet=$MRELEASE_INPUT_WALLET_PASSWORD cosign=$MRELEASE_INPUT_COSIGN_PASSWORD
unset MRELEASE_INPUT_WALLET_PASSWORD MRELEASE_INPUT_COSIGN_PASSWORD

case $MRELEASE_INPUT_DRY_RUN in
true | false) ;;
*) fail 'dry-run must be true or false' ;;
esac
case $MRELEASE_INPUT_MODE in
auto | release | plan | apply | verify) ;;
*) fail 'mode must be auto, release, plan, apply or verify' ;;
esac
# Who names an approved plan would not have anything else released.
if [ "$MRELEASE_INPUT_MODE" = apply ]; then
	[ -n "$MRELEASE_INPUT_PLAN" ] || fail 'mode apply needs the input plan'
elif [ -n "$MRELEASE_INPUT_PLAN$MRELEASE_INPUT_PLAN_HASH" ]; then
	fail 'plan and plan-hash are for mode apply'
fi

find_binary
args=()
lines "$MRELEASE_INPUT_CONFIG" --config
value --chain "$MRELEASE_INPUT_CHAIN"
mode=$(env -u MRELEASE_WALLET_PASSWORD -u MRELEASE_WALLET_KEY -u MRELEASE_WALLET_PAYER_PASSWORD -u MRELEASE_WALLET_PAYER_KEY -u COSIGN_PASSWORD "$binary" ci --mode "$MRELEASE_INPUT_MODE" ${args[@]+"${args[@]}"})

args=("$mode")
lines "$MRELEASE_INPUT_CONFIG" --config
value --builder "$MRELEASE_INPUT_BUILDER"
case $mode in
release | plan | apply)
	value --version "$MRELEASE_INPUT_VERSION"
	value --image "$MRELEASE_INPUT_IMAGE"
	value --chain "$MRELEASE_INPUT_CHAIN"
	value --context "$MRELEASE_INPUT_CONTEXT"
	[ -z "$MRELEASE_INPUT_RECORD" ] || export MRELEASE_RECORD=$MRELEASE_INPUT_RECORD
	;;
esac
case $mode in
release | apply)
	[ -z "$wallet" ] || export MRELEASE_WALLET_PASSWORD=$wallet
	[ -z "$cosign" ] || export COSIGN_PASSWORD=$cosign
	[ "$MRELEASE_INPUT_DRY_RUN" = false ] || args+=(--dry-run)
	;;
*) unset MRELEASE_WALLET_PASSWORD MRELEASE_WALLET_KEY MRELEASE_WALLET_PAYER_PASSWORD MRELEASE_WALLET_PAYER_KEY COSIGN_PASSWORD ;;
esac
lines "$MRELEASE_INPUT_ARGS"
if [ "$mode" = apply ]; then
	value --plan-hash "$MRELEASE_INPUT_PLAN_HASH"
	plan=$MRELEASE_INPUT_PLAN
	if [[ $plan == '{'* ]]; then
		plan=$(mktemp "${RUNNER_TEMP:-/tmp}/plan.XXXXXX")
		printf '%s\n' "$MRELEASE_INPUT_PLAN" >"$plan"
	fi
	args+=(-- "$plan")
fi
[ "$mode" != verify ] || args+=(-- "${MRELEASE_INPUT_RECORD:-dist/record.json}")

if needs_root; then as_root "$binary" "${args[@]}"; fi
exec "$binary" "${args[@]}"
