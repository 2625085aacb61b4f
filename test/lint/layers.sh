#!/bin/sh
# Layout police: the dependency rules, each one line. Run from the project's root; prints every
# breach and exits non-zero if there was one.
status=0
# Blanks comments out and keeps the line numbers.
strip='s{/\*.*?\*/}{$& =~ tr/\n//cdr}gse; s{//[^\n]*}{}g'
# forbid <message> <extended regex> <file>…: no line of the files, comments apart, may match.
forbid() {
    message=$1 regex=$2
    shift 2
    found=$(for f in "$@"; do
        [ -f "$f" ] && perl -0pe "$strip" "$f" | grep -nE -- "$regex" | sed "s,^,$f:,"
    done)
    if [ -n "$found" ]; then
        printf '%s:\n%s\n' "$message" "$found"
        status=1
    fi
}
only() { # only <allowed file> <file>…: prints the files that are not the allowed ones
    allowed=" $1 "
    shift
    for f in "$@"; do case $allowed in *" $f "*) ;; *) echo "$f" ;; esac; done
}
all=$(ls src/*/*.h src/*/*.cpp src/*/*.inc 2>/dev/null)
in_layer() { echo "$all" | grep -E "^src/($1)/"; }
pg=$(in_layer pg)
core_pg=$(in_layer 'core|pg' | grep -v mem_store) # a test store, not used by the server
below_pg=$(in_layer 'simd|vec|core')

forbid 'simd includes another layer' '#include "(vec|core|pg)/' $(in_layer simd)
forbid 'vec includes a layer above it' '#include "(core|pg)/' $(in_layer vec)
forbid 'core includes pg' '#include "pg/' $(in_layer core)
forbid 'include not written from src/' '#include "[^/"]*"' $(only "src/pg/pg.h src/pg/compat.h" $all)
forbid 'server headers outside pg/pg.h' '(postgres|fmgr|c)\.h"' $(only "src/pg/pg.h" $all)
forbid 'server type or macro below pg' '\b(ereport|elog|palloc|Datum|MemoryContext|Relation)\b' $below_pg
forbid 'version test outside compat.h' 'PG_VERSION_NUM' $(only "src/pg/compat.h" $all)
forbid 'catch, PG_TRY or sigsetjmp outside guard' '\b(catch *\(|PG_TRY|PG_CATCH|sigsetjmp)' $(only "src/pg/guard.h src/pg/guard.cpp" $all)
forbid 'new, delete or malloc' '(\bnew [A-Za-z_]|\bdelete [a-z_*]|\bdelete\[\]|\b(malloc|calloc|realloc|free) *\()' $core_pg
forbid 'container with the default allocator' '\bstd::(vector|string|deque|list|map|set|unordered_map|unordered_set|function|shared_ptr|make_unique|unique_ptr|priority_queue|ostringstream|stringstream)\b *[<({;&a-z]' $core_pg
forbid 'SQL or setting name in core' 'hnsw\.[a-z_]+"|vector_l2_ops|ef_search"' $(in_layer core)
forbid 'volatile, threads, thread_local' '\b(thread_local|std::thread|std::mutex)\b' $pg
forbid 'test statement in an extension script' '^(SELECT|\\d)' sql/hnsw--*.sql

for f in $all; do
    n=$(wc -l < "$f")
    [ "$n" -le 600 ] || { echo "$f has $n lines, more than 600"; status=1; }
done
dup=$(for f in src/*/*.cpp src/*/*.h; do basename "$f"; done | sort | uniq -d)
[ -z "$dup" ] || { echo "basename used twice in src: $dup"; status=1; }

# Namespaces: each file of a layer opens that layer's namespace (C-only files apart).
for f in $(only "src/pg/pg.h src/pg/compat.h" $all); do
    case $f in *.inc) continue ;; esac # compiled inside the namespace of whoever includes it
    layer=$(basename "$(dirname "$f")")
    grep -q "hnsw::$layer\|namespace $layer" "$f" || { echo "$f does not use namespace hnsw::$layer"; status=1; }
done
exit $status
