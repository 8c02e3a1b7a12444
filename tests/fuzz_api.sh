#!/bin/sh
# Puts what schemathesis makes of the API's own description to a daemon with a database of its own and nothing behind it.
# Fails when any answer is a server error. FUZZ_SEED replays a run, FUZZ_SECONDS bounds it.
set -eu
binary=$1
tool=$2
folder=$(mktemp -d)
trap 'kill "$daemon" 2>/dev/null || true; rm -rf "$folder"' EXIT INT TERM
daemon=
cat > "$folder/grannpost.toml" <<TOML
server.listen = "127.0.0.1:0"
server.calls_per_second = 100000
server.call_burst = 100000
database.url = "sqlite:$folder/fuzz.db"
sms.route = []
mail.url = ""
TOML
key=$("$binary" --config "$folder/grannpost.toml" key add --name fuzz --role admin)
"$binary" --config "$folder/grannpost.toml" serve > "$folder/ready" 2> "$folder/log" &
daemon=$!
for _ in $(seq 200); do
  grep -q listening "$folder/ready" && break
  sleep 0.05
done
base=$(sed -n 's/^listening on //p' "$folder/ready")
# /events never ends. A paused service is 503 to /readyz only, which is not part of the description.
"$tool" run "$base/api/openapi.json" --header "Authorization: Bearer $key" --checks not_a_server_error \
  --exclude-path-regex '/events$' --max-examples "${FUZZ_EXAMPLES:-40}" --max-time "${FUZZ_SECONDS:-90}" \
  --phases examples,coverage,fuzzing --continue-on-failure --warnings off --no-color \
  --generation-database none --seed "${FUZZ_SEED:-1}"
kill -0 "$daemon"
