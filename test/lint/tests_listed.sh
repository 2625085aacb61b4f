#!/bin/sh
# Every test input is listed in the Makefile and has an expected file, and the other way round.
status=0
complain() { echo "$1"; status=1; }
listed() { # listed <variable>: the words of a backslash list of the Makefile
    sed -n "/^$1 *=/,/[^\\\\]\$/p" Makefile | sed "s/^$1 *=//; s/\\\\\$//" | tr -s ' \t\n' '\n' | sed '/^$/d'
}
for f in sql/*.sql; do
    t=$(basename "$f" .sql)
    case $t in *--*) continue ;; esac
    listed REGRESS | grep -qx "$t" || complain "$f is not in REGRESS"
done
for t in $(listed REGRESS); do
    [ -f "sql/$t.sql" ] || complain "REGRESS names $t, sql/$t.sql is missing"
    [ -f "expected/$t.out" ] || complain "REGRESS names $t, expected/$t.out is missing"
done
for f in expected/*.out; do
    t=$(basename "$f" .out)
    [ -f "sql/$t.sql" ] || complain "$f has no sql/$t.sql"
done
for f in test/isolation/specs/*.spec; do
    [ -f "$f" ] || continue
    t=$(basename "$f" .spec)
    listed ISOLATION | grep -qx "$t" || complain "$f is not in ISOLATION"
    [ -f "test/isolation/expected/$t.out" ] || complain "test/isolation/expected/$t.out is missing"
done
exit $status
