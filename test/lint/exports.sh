#!/bin/sh
# The library, when it has been built, exports only what hnsw.map names and C functions the SQL
# scripts call; and every C function of the scripts exists.
# HNSW_SO names a library built elsewhere.
so=${HNSW_SO:-hnsw.so}
[ -f "$so" ] || { echo "$so is not built: exports not checked"; exit 0; }
status=0
exported=$(nm -D --defined-only "$so" | awk '{print $3}' | sort)
called=$(cat sql/hnsw--*.sql | grep -oE "'hnsw_[a-z0-9_]+'" | tr -d "'" | sort -u)
for s in $exported; do
    case $s in
        Pg_magic_func | _PG_init | pg_finfo_hnsw_*) continue ;;
        hnsw_build_worker | hnsw_build_helper) continue ;; # parallel workers look it up by name
    esac
    echo "$called" | grep -qx "$s" || { echo "exported but not called by any script: $s"; status=1; }
done
for s in $called; do
    echo "$exported" | grep -qx "$s" || { echo "called by a script but not exported: $s"; status=1; }
    echo "$exported" | grep -qx "pg_finfo_$s" || { echo "no pg_finfo_$s"; status=1; }
done
exit $status
