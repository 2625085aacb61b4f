# shellcheck shell=bash
# What demo/run, test/run and bench/run have in common: finding or installing what is missing, a user
# who may run a server, building and installing the extension, and throwaway clusters that leave
# nothing. Sourced, never run.

HNSW_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A server of the caller's choice or environment must not leak into ours.
unset PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGOPTIONS PGDATA \
    PGSSLMODE PGCLIENTENCODING PGTZ PGDATESTYLE PGAPPNAME MAKEFLAGS MAKELEVEL MFLAGS PERL5LIB
export LC_ALL=C.UTF-8 PSQLRC=/dev/null PAGER=

die() {
    printf '%s: %s\n' "$(basename "$(dirname "$0")")/$(basename "$0")" "$*" >&2
    exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# Runs a command with the rights to change the system.
as_root() {
    if is_root; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root rights (become root or install sudo): $*"
    fi
}

# PostgreSQL refuses to run as root, so root lends its work to another user; everybody else is
# that user already. AS_SERVER_USER before a command (and before what `env` takes) runs it as that
# user.
choose_server_user() {
    SERVER_USER=$(id -un)
    AS_SERVER_USER=(env)
    if is_root; then
        SERVER_USER=nobody
        ! id postgres >/dev/null 2>&1 || SERVER_USER=postgres
        AS_SERVER_USER=(runuser -u "$SERVER_USER" -- env)
    fi
}

as_server_user() { "${AS_SERVER_USER[@]}" "$@"; }

# ---------------------------------------------------------------------------------- packages

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# install_packages name…: installs those that are not there yet. Installing a PostgreSQL server
# on Debian normally creates a cluster "main"; a setting that lives only as long as the
# installation keeps it from doing so.
install_packages() {
    local missing=() package folder=/etc/postgresql-common/createcluster.d dropin='' status=0
    for package in "$@"; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null ||
        die "please install these (Debian's names), then run this again: ${missing[*]}"
    echo "    installing ${missing[*]}"
    if [[ " ${missing[*]} " == *" postgresql-1"* ]]; then
        dropin=$folder/hnsw-no-main-cluster.conf
        as_root mkdir -p "$folder"
        echo 'create_main_cluster = false' | as_root tee "$dropin" >/dev/null
    fi
    local log
    log=$(mktemp)
    as_root apt-get -qq -o DPkg::Lock::Timeout=600 update >"$log" 2>&1 </dev/null || true
    as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -qq -y \
        -o DPkg::Lock::Timeout=600 install --no-install-recommends "${missing[@]}" \
        >>"$log" 2>&1 </dev/null || status=$?
    [ -z "$dropin" ] || as_root rm -f "$dropin"
    if [ "$status" -ne 0 ]; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        die "apt-get could not install ${missing[*]}"
    fi
    rm -f "$log"
}

# ------------------------------------------------------------------------------------ server

# Is there a server with its headers behind this pg_config?
is_usable_pg_config() {
    local include pgxs
    include=$("$1" --includedir-server 2>/dev/null) && pgxs=$("$1" --pgxs 2>/dev/null) &&
        [ -f "$include/postgres.h" ] && [ -f "$pgxs" ] && [ -x "$("$1" --bindir)/postgres" ]
}

# Sets PG_CONFIG (kept if the caller has it), installing Debian's PostgreSQL if there is none, and
# what is needed to build for it.
choose_server() {
    local candidate version
    if [ -n "${PG_CONFIG:-}" ]; then
        PG_CONFIG=$(command -v "$PG_CONFIG") || die "PG_CONFIG is set, but there is no such program"
        is_usable_pg_config "$PG_CONFIG" ||
            die "$PG_CONFIG has no server with headers and PGXS beside it"
    else
        for candidate in /usr/lib/postgresql/{15,16,17,18}/bin/pg_config pg_config; do
            if is_usable_pg_config "$candidate"; then
                PG_CONFIG=$(command -v "$candidate")
                break
            fi
        done
    fi
    if [ -z "${PG_CONFIG:-}" ]; then
        version=15
        ! command -v apt-cache >/dev/null || [ -n "$(apt-cache search --names-only '^postgresql-15$')" ] ||
            version=$(apt-cache search --names-only '^postgresql-1[678]$' | sed 's/postgresql-\([0-9]*\).*/\1/' | sort -n | head -n 1)
        version=${version:-15}
        install_packages "postgresql-$version" "postgresql-server-dev-$version"
        PG_CONFIG=/usr/lib/postgresql/$version/bin/pg_config
        is_usable_pg_config "$PG_CONFIG" || die "PostgreSQL $version was installed, but $PG_CONFIG does not work"
    fi
    export PG_CONFIG
    if ! command -v make >/dev/null || ! command -v "${CXX:-g++}" >/dev/null ||
        ! echo '#include <xxhash.h>' | "${CXX:-g++}" -x c++ -fsyntax-only - 2>/dev/null; then
        install_packages make g++ libxxhash-dev
    fi
    command -v "${CXX:-g++}" >/dev/null || die "CXX names $CXX, but there is no such compiler"
    choose_server_user
}

pg_version() { "${1:-$PG_CONFIG}" --version | sed 's/^PostgreSQL \([0-9.a-z]*\).*/\1/'; }
pg_major() { pg_version "$@" | sed 's/[^0-9].*//'; }

# ------------------------------------------------------------------------------ work and cache

# start_work name: makes WORK, a folder in which servers and sockets live, and sees to it that
# nothing of it stays, servers that a test left behind included.
# Socket paths are limited to about 100 bytes, so a long TMPDIR is not used.
start_work() {
    local base=${TMPDIR:-/tmp}
    [ ${#base} -le 40 ] && as_server_user test -x "$base" || base=/tmp
    WORK=$(mktemp -d "$base/$1.XXXXXX")
    trap 'end_work' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    ! is_root || chown "$SERVER_USER" "$WORK"
    chmod 700 "$WORK"
}

end_work() {
    local status=$?
    trap - EXIT
    trap '' INT TERM HUP
    cd /
    stop_descendants $$
    stop_clusters "$WORK"
    rm -rf "$WORK"
    exit "$status"
}

# stop_descendants pid: ends what the process started and what that started in turn, each halted
# first so that it starts nothing more meanwhile.
stop_descendants() {
    local child
    # shellcheck disable=SC2013
    for child in $(cat "/proc/$1"/task/*/children 2>/dev/null); do
        kill -STOP "$child" 2>/dev/null || continue
        stop_descendants "$child"
        kill -TERM "$child" 2>/dev/null || true
        kill -CONT "$child" 2>/dev/null || true
    done
}

checksum() { printf '%s' "$1" | cksum | cut -d ' ' -f 1; }

# Makes CACHE, where downloads outlive a run, and BUILDS, the same for this checkout's builds.
# Root's must be open to SERVER_USER.
start_cache() {
    if [ -n "${HNSW_CACHE:-}" ]; then
        CACHE=$HNSW_CACHE
    elif is_root; then
        CACHE=/var/cache/hnsw-test
    else
        CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/hnsw-test
    fi
    BUILDS=$CACHE/build-$(checksum "$HNSW_ROOT")
    mkdir -p "$BUILDS" || die "cannot create $BUILDS (HNSW_CACHE=… names another folder)"
    ! is_root || chown "$SERVER_USER" "$CACHE" "$BUILDS"
    as_server_user test -w "$BUILDS" || die "$BUILDS is not writable for $SERVER_USER"
    touch "$BUILDS"
    find "$CACHE" -mindepth 1 -maxdepth 1 -name 'build-*' -mtime +7 -exec rm -rf {} +
}

# ------------------------------------------------------------------------------------- build

# build_extension variant pg_config [make argument…]: builds in a copy of the sources in the cache
# and sets BUILD to it. The checkout stays clean, may be read-only and have any name; a file is
# copied only when its text changed, so a second build is quick. The output of make goes to stdout.
build_extension() {
    local variant=$1 pg_config=$2 file headers
    shift 2
    # PGXS names the compiler itself; what the environment says must be said to make.
    [ -z "${CXX:-}" ] || set -- CXX="$CXX" "$@"
    headers=$(realpath "$("$pg_config" --includedir-server)")
    BUILD=$BUILDS/$variant-$(pg_major "$pg_config")-$(checksum "$headers $*")
    mkdir -p "$BUILD"
    (
        cd "$HNSW_ROOT" || exit
        find Makefile hnsw.control sql expected src test/isolation test/t test/perl -type f \
            ! -name '*.[ods]' ! -name '*.so' ! -name '*.bc' 2>/dev/null
    ) >"$BUILD/.files.new"
    if [ -f "$BUILD/.files" ]; then
        while IFS= read -r file; do
            rm -f "${BUILD:?}/$file"
        done < <(grep -vxFf "$BUILD/.files.new" "$BUILD/.files")
    fi
    while IFS= read -r file; do
        if ! cmp -s "$HNSW_ROOT/$file" "$BUILD/$file"; then
            mkdir -p "$(dirname "$BUILD/$file")"
            cp "$HNSW_ROOT/$file" "$BUILD/$file"
        fi
    done <"$BUILD/.files.new"
    mv "$BUILD/.files.new" "$BUILD/.files"
    ! is_root || chown -R "$SERVER_USER" "$BUILD"
    as_server_user make -s -j "$(nproc)" -C "$BUILD" PG_CONFIG="$pg_config" "$@"
}

# install_extension pg_config [make argument…]: installs BUILD into that server, if it is not
# there already.
install_extension() {
    local pg_config=$1 file target sudo=as_root
    shift
    for file in "$BUILD"/hnsw.so "$BUILD"/hnsw.control "$BUILD"/sql/hnsw--*.sql; do
        target=$("$pg_config" --sharedir)/extension
        [[ $file != *.so ]] || target=$("$pg_config" --pkglibdir)
        if ! cmp -s "$file" "$target/$(basename "$file")"; then
            [ ! -w "$target" ] || sudo=''
            $sudo make -s -C "$BUILD" install PG_CONFIG="$pg_config" "$@"
            return
        fi
    done
}

# ---------------------------------------------------------------------------- private servers

# private_server pg_config: sets SERVER_CONFIG to the pg_config of a copy of that installation, in
# which the extension can be installed without touching the original or needing any rights.
# PostgreSQL finds its files relative to its programs, so copies of the programs and links to all
# the rest are enough.
private_server() {
    local bindir=$1 prefix copy=$WORK/server-$((++servers)) folder
    bindir=$("$1" --bindir)
    prefix=$(dirname "$bindir")
    for folder in "$prefix" "$("$1" --sharedir)"; do
        [ ! -d "$copy$folder" ] || continue
        mkdir -p "$copy$(dirname "$folder")"
        cp -rs "$folder" "$copy$folder"
    done
    for folder in "$prefix"/../../*.libs; do        # where wheels keep libraries
        [ ! -d "$folder" ] || ln -sfn "$folder" "$copy$(dirname "$(dirname "$prefix")")/"
    done
    folder=$("$1" --includedir-server)
    if [ ! -e "$copy$folder" ]; then
        mkdir -p "$copy$(dirname "$folder")"
        ln -sfn "$folder" "$copy$folder"
    fi
    rm -r "$copy$bindir"
    cp -r "$bindir" "$copy$bindir"
    find "$copy" \( -name hnsw.so -o -name hnsw.control -o -name 'hnsw--*.sql' \) -delete
    SERVER_CONFIG=$copy$bindir/pg_config
    chmod -R go+rX "$copy"
    ! is_root || chown -R -h "$SERVER_USER" "$copy"
}
servers=0

# make_server pg_config variant [make argument…]: BUILD and SERVER_CONFIG, the one installed in the
# other.
make_server() {
    local pg_config=$1 variant=$2
    shift 2
    build_extension "$variant" "$pg_config" "$@" >"$WORK/make.log" 2>&1 || {
        cat "$WORK/make.log"
        return 1
    }
    cat "$WORK/make.log"
    private_server "$pg_config"
    as_server_user make -s -C "$BUILD" install PG_CONFIG="$SERVER_CONFIG" "$@"
}

# ---------------------------------------------------------------------------------- clusters

# A psql that works with that server: its own, or, where that does not start, another one.
find_psql() {
    local candidate
    for candidate in "$("$1" --bindir)/psql" /usr/lib/postgresql/*/bin/psql psql; do
        if "$candidate" --version >/dev/null 2>&1; then
            command -v "$candidate"
            return
        fi
    done
    die "no psql found"
}

# start_cluster folder pg_config [name=value…]: a new cluster in the folder (inside WORK, not there
# yet) with those settings, reached as user postgres and only through a socket in the folder.
# CLUSTER_ENV, an array of name=value, is put into the server's environment.
start_cluster() {
    local folder=$1 bindir setting
    bindir=$("$2" --bindir)
    shift 2
    as_server_user mkdir -m 700 "$folder"
    as_server_user "$bindir/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --no-locale \
        --no-sync >"$WORK/initdb.log" 2>&1 || {
        cat "$WORK/initdb.log" >&2
        die "initdb failed"
    }
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$folder'"
        echo "fsync = off"
        for setting in "$@"; do echo "${setting%%=*} = '${setting#*=}'"; done
    } | as_server_user tee -a "$folder/data/postgresql.conf" >/dev/null
    as_server_user env ${CLUSTER_ENV[@]+"${CLUSTER_ENV[@]}"} "$bindir/pg_ctl" -s -w -t 120 \
        -D "$folder/data" -l "$folder/server.log" start >/dev/null || {
        tail -n 30 "$folder/server.log" >&2
        die "the server did not start"
    }
}

# Stops every server whose data lies below the folder. A postmaster.pid may be stale and its number
# another process's by now, so what counts is that the process works in that data folder.
stop_clusters() {
    local file pid pids=() tries
    while IFS= read -r file; do
        pid=$(head -n 1 "$file")
        if [ "$(readlink "/proc/$pid/cwd")" = "$(dirname "$file")" ]; then
            kill -QUIT "$pid" && pids+=("$pid")
        fi
    done < <(find "$1" -name postmaster.pid 2>/dev/null)
    for pid in ${pids[@]+"${pids[@]}"}; do
        for ((tries = 0; tries < 100; ++tries)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
    done
}
