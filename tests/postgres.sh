# Sourced by the commands of this folder: a private PostgreSQL in a temporary folder on a free port, gone when they end.
#
# `start_postgres [server options]` starts it and exports REVISIT_TEST_POSTGRES; whoever sources this gets `$scratch`.

scratch=$(mktemp -d)
cleanup() {
  if [ -f "$scratch/postgres/postmaster.pid" ]; then
    as_database_user "$pg_bin/pg_ctl" -D "$scratch/postgres" -m immediate stop >/dev/null 2>&1 || true
  fi
  rm -rf "$scratch"
}
trap cleanup EXIT

# initdb and postgres refuse to run as root, so they run as the user that the package made.
as_database_user() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

find_postgres() {
  local dir
  for dir in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql@*/bin; do
    if [ -x "$dir/initdb" ]; then echo "$dir"; fi
  done | sort -V | tail -n 1
}

# A port below those that the system hands out, on which nobody answers.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}

start_postgres() {
  pg_bin=$(find_postgres)
  if [ -z "$pg_bin" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
    pg_bin=$(find_postgres)
  fi
  if [ -z "$pg_bin" ]; then
    echo "This needs the PostgreSQL server programs, version 15 or later. On Debian: sudo apt-get install postgresql" >&2
    exit 1
  fi
  local port
  port=$(free_port)
  chmod 755 "$scratch"
  mkdir "$scratch/postgres"
  if [ "$(id -u)" = 0 ]; then chown postgres "$scratch/postgres"; fi
  as_database_user "$pg_bin/initdb" -D "$scratch/postgres" -U revisit --auth=trust --no-locale -E UTF8 >/dev/null
  as_database_user "$pg_bin/pg_ctl" -D "$scratch/postgres" -w -l "$scratch/postgres/log" \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= $*" start >/dev/null
  export REVISIT_TEST_POSTGRES="postgres://revisit@127.0.0.1:$port/postgres"
}

# What a measurement or a storm runs on: as durable as in production, with memory for the size that is measured.
start_durable_postgres() {
  start_postgres -c fsync=on -c synchronous_commit=on -c full_page_writes=on -c shared_buffers=1GB \
    -c max_wal_size=8GB -c checkpoint_timeout=15min -c jit=off -c max_connections=200 -c track_commit_timestamp=on
}

# Builds the named binaries, in the dev profile with --quick among the arguments and else in release, and sets `$built`
# to the folder in which they lie.
build() {
  local profile=release flag=--release argument
  for argument in "$@"; do
    if [ "$argument" = --quick ]; then profile=debug flag=; fi
  done
  # Always the whole workspace: a part would unify other features and build everything once more.
  cargo build ${flag:+$flag} --quiet --workspace --bins
  built="${CARGO_TARGET_DIR:-$PWD/target}/$profile"
}
