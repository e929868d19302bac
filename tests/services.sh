# Postgres and Redis for the tests, and process groups that are stopped with the script. Sourced by ./test and
# tests/campaign after deploy/packages.sh.
# shellcheck shell=bash

RUNNING=''      # process group of the running command
SERVICES=()     # process groups of Postgres and Redis
SCRATCH=''      # their directory

# clean_up_at_exit: stops the services and removes their data when the script ends or is interrupted.
clean_up_at_exit() {
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

# start_services: Postgres and Redis on free ports, with TEST_DATABASE_URL, TEST_REDIS_URL and TEST_STORAGE set for the tests.
start_services() {
    SCRATCH=$(mktemp -d)
    chmod 711 "$SCRATCH"
    start_postgres
    start_redis
    export TEST_STORAGE=s3
}

# in_own_group COMMAND...: runs a command and waits for it, in a process group that clean_up can stop as a whole.
in_own_group() {
    local status=0
    set -m
    "$@" </dev/null &
    RUNNING=$!
    set +m
    wait "$RUNNING" || status=$?
    RUNNING=''
    return "$status"
}

# A free port below the ephemeral range of the kernel.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((RANDOM % 12000 + 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
    fail "There is no free port between 20000 and 32000."
}

random_word() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# start_service NAME COMMAND...: runs a command in the background, in its own process group, with its own log.
start_service() {
    local name=$1
    shift
    set -m
    "$@" </dev/null >"$SCRATCH/$name.log" 2>&1 &
    SERVICES+=("$!")
    set +m
}

# wait_for NAME COMMAND...: repeats COMMAND until it succeeds, for at most 30 seconds.
wait_for() {
    local name=$1
    shift
    for _ in {1..150}; do
        "$@" >/dev/null 2>&1 && return
        sleep 0.2
    done
    tail -n 20 "$SCRATCH/$name.log" >&2
    fail "$name did not start; above is the end of its log."
}

# start_postgres: started by root, Postgres runs as the user postgres, because it refuses to run as root.
start_postgres() {
    local bin home=$SCRATCH/postgres port password as=()
    bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    port=$(free_port) password=$(random_word)
    mkdir -m 700 "$home"
    printf '%s' "$password" >"$home/password"
    if ((EUID == 0)); then
        as=(setpriv --reuid postgres --regid postgres --init-groups)
        chown -R postgres: "$home"
    fi
    (cd "$home" && "${as[@]}" "$bin/initdb" --username rushes --auth md5 --pwfile "$home/password" --encoding UTF8 --no-locale \
        --no-sync --pgdata "$home/data" >"$SCRATCH/initdb.log" 2>&1) || { cat "$SCRATCH/initdb.log" >&2 && fail "initdb failed."; }
    start_service postgres "${as[@]}" "$bin/postgres" -D "$home/data" -k "$home" -h 127.0.0.1 -p "$port" \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300
    wait_for postgres "$bin/pg_isready" --host 127.0.0.1 --port "$port"
    export TEST_DATABASE_URL=postgres://rushes:$password@127.0.0.1:$port/postgres
    say "Postgres on port $port"
}

start_redis() {
    local port password
    port=$(free_port) password=$(random_word)
    mkdir -m 700 "$SCRATCH/redis"
    printf '%s\n' "port $port" "bind 127.0.0.1" "dir $SCRATCH/redis" 'save ""' "appendonly no" \
        "maxmemory-policy noeviction" "requirepass $password" "databases 4096" >"$SCRATCH/redis/redis.conf"
    start_service redis redis-server "$SCRATCH/redis/redis.conf"
    wait_for redis env REDISCLI_AUTH="$password" redis-cli -p "$port" ping
    export TEST_REDIS_URL=redis://:$password@127.0.0.1:$port
    say "Redis on port $port"
}

# clean_up: stops the running command and the services, and removes their data.
clean_up() {
    local status=$? group
    trap '' INT TERM HUP
    [[ -z $RUNNING ]] || end_group TERM "$RUNNING" 20
    # INT is a fast shutdown of Postgres, which does not wait for clients. Redis handles it like TERM.
    for group in "${SERVICES[@]}"; do end_group INT "$group" 5; done
    [[ -z $SCRATCH ]] || rm -rf "$SCRATCH"
    exit "$status"
}

# end_group SIGNAL GROUP SECONDS: sends a signal to a process group, and SIGKILL if it has not ended after that time.
end_group() {
    local signal=$1 group=$2 deadline=$((SECONDS + $3))
    kill "-$signal" -- "-$group" 2>/dev/null || return 0
    while kill -0 -- "-$group" 2>/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
    kill -KILL -- "-$group" 2>/dev/null || true
    wait "$group" 2>/dev/null || true
}
