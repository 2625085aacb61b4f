# What VACUUM leaves: an index as good as a new one, and no larger after a second round of deleting,
# vacuuming and inserting than after the first.
use strict;
use warnings;

use HnswTest;
use Test::More;

my $kROWS = 10_000;

my $node = hnsw_node('vacuum', log_statement => 'none', max_wal_size => '512MB');
create_generators($node);
$node->safe_psql('postgres', qq{
    SELECT setseed(0.2);
    CREATE TABLE pool AS SELECT i AS id, clustered_vector(32)::vector(32) AS v
        FROM generate_series(1, 2 * $kROWS) i;
    CREATE TABLE items (id integer NOT NULL, v vector(32));
    CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops);
    INSERT INTO items SELECT * FROM pool WHERE id <= $kROWS});
ask_questions($node, 'items', '<->', 'clustered_vector(32)', 200);

sub size { return $node->safe_psql('postgres', "SELECT pg_relation_size('items_v')") }

# Largest difference between the shares of layer-0 nodes with at most so many links.
sub kolmogorov {
    my ($one, $other) = @_;
    return $node->safe_psql('postgres', qq{
        WITH bars AS (
            SELECT 1 AS side, * FROM hnsw_stats('$one') s, unnest(s.degree_histogram[1:1]) WITH ORDINALITY u(n, degree)
            UNION ALL
            SELECT 2, * FROM hnsw_stats('$other') s, unnest(s.degree_histogram[1:1]) WITH ORDINALITY u(n, degree)),
        shares AS (
            SELECT side, degree, sum(n) OVER (PARTITION BY side ORDER BY degree) /
                sum(n) OVER (PARTITION BY side) AS share FROM bars)
        SELECT max(abs(a.share - b.share)) FROM shares a JOIN shares b USING (degree)
        WHERE a.side = 1 AND b.side = 2});
}

sub stat_of {
    my ($index, $figure) = @_;
    return $node->safe_psql('postgres', "SELECT $figure FROM hnsw_stats('$index')");
}

# Round 1: nine rows of ten go. Freed slots are filled again from the second VACUUM on.
$node->safe_psql('postgres', 'DELETE FROM items WHERE id % 10 <> 0');
my $told = vacuum_all($node, 'items');
check_clean($node, 'items_v');
is(stat_of('items_v', 'deleted_nodes'), '0', 'no node without rows is left');
is(stat_of('items_v', 'unreachable_nodes'), '0', 'every node can be reached');
is(stat_of('items_v', 'rows'), $kROWS / 10, 'hnsw_stats counts the rows left') or diag($told);
same_rows($node, 'items', '<->', '(SELECT q FROM questions WHERE id = 1)');

$node->safe_psql('postgres', q{
    CREATE TABLE fresh AS SELECT * FROM items ORDER BY ctid;
    CREATE INDEX fresh_v ON fresh USING hnsw (v vector_l2_ops)});
update_answers($node, 'items', '<->');
my $distance = kolmogorov('items_v', 'fresh_v');
cmp_ok($distance, '<=', 0.05, "degrees are those of a new index (Kolmogorov distance $distance)");
for my $ef (10, 40, 200) {
    my ($vacuumed, $fresh) = map { recall($node, $_, '<->', $ef) } 'items', 'fresh';
    cmp_ok($vacuumed, '>=', $fresh - 0.01,
        "recall at ef_search $ef: $vacuumed vacuumed, $fresh in a new index");
}

vacuum_all($node, 'items');
my @sizes;
for my $round (1, 2) {
    my $first = $kROWS * ($round - 1);
    $node->safe_psql('postgres', qq{
        INSERT INTO items SELECT * FROM pool p WHERE id BETWEEN $first + 1 AND $first + $kROWS
            AND NOT EXISTS (SELECT FROM items i WHERE i.id = p.id)});
    push @sizes, size();
    check_clean($node, 'items_v');
    if ($round == 1) {
        $node->safe_psql('postgres', 'DELETE FROM items WHERE id % 10 <> 0');
        vacuum_all($node, 'items');
        vacuum_all($node, 'items');
    }
}
cmp_ok($sizes[1], '<=', 1.1 * $sizes[0], "size after the second round, $sizes[1], against $sizes[0]");

# A load of new rows after two rounds finds its way as in a new index.
update_answers($node, 'items', '<->');
$node->safe_psql('postgres', q{
    DROP TABLE fresh;
    CREATE TABLE fresh AS SELECT * FROM items ORDER BY ctid;
    CREATE INDEX fresh_v ON fresh USING hnsw (v vector_l2_ops)});
for my $ef (10, 40, 200) {
    my ($used, $fresh) = map { recall($node, $_, '<->', $ef) } 'items', 'fresh';
    cmp_ok($used, '>=', $fresh - 0.01, "recall at ef_search $ef after two rounds: $used, $fresh in a new index");
}

# INDEX_CLEANUP off leaves dead rows in the index and must not lose live ones; auto and on take them out.
$node->safe_psql('postgres', 'DELETE FROM items WHERE id % 7 = 0');
$node->safe_psql('postgres', 'VACUUM (INDEX_CLEANUP off) items');
check_clean($node, 'items_v');
same_rows($node, 'items', '<->', '(SELECT q FROM questions WHERE id = 2)', 'all rows after INDEX_CLEANUP off');
my $before = stat_of('items_v', 'rows');
$node->safe_psql('postgres', 'VACUUM (FREEZE, INDEX_CLEANUP on) items');
check_clean($node, 'items_v');
my $rows = $node->safe_psql('postgres', 'SELECT count(*) FROM items');
cmp_ok($before, '>', $rows, 'INDEX_CLEANUP off left dead rows');
is(stat_of('items_v', 'rows'), $rows, 'INDEX_CLEANUP on took them out');

# With little memory for dead nodes VACUUM takes more passes.
$node->safe_psql('postgres', q{
    DELETE FROM items WHERE id % 3 = 0});
$node->safe_psql('postgres', q{SET maintenance_work_mem = '1MB'; VACUUM (FREEZE) items});
check_clean($node, 'items_v');
is(stat_of('items_v', 'deleted_nodes'), '0', 'a VACUUM with little memory leaves nothing');

# Everything goes, and the index starts again.
$node->safe_psql('postgres', 'DELETE FROM items');
vacuum_all($node, 'items') for 1, 2;
check_clean($node, 'items_v');
is(stat_of('items_v', 'rows'), '0', 'no row is left');
is($node->safe_psql('postgres', 'SET enable_seqscan = off; SELECT id FROM items ORDER BY v <-> (SELECT v FROM pool LIMIT 1) LIMIT 3'),
    '', 'an emptied index answers');
$node->safe_psql('postgres', 'INSERT INTO items SELECT * FROM pool WHERE id <= 1000');
check_clean($node, 'items_v');
same_rows($node, 'items', '<->', '(SELECT q FROM questions WHERE id = 3)', 'an emptied index is filled again');
cmp_ok(size(), '<=', $sizes[1], 'in the space it has');

# Autovacuum does the same unasked, while rows come and go.
$node->append_conf('postgresql.conf', qq{
autovacuum = on
autovacuum_naptime = 1s
autovacuum_vacuum_threshold = 100
autovacuum_vacuum_scale_factor = 0.01
autovacuum_vacuum_cost_delay = 1ms
});
$node->reload;
my $load = start_load($node, clients => 2, seconds => 6, scripts => [
    'INSERT INTO items SELECT id, v FROM pool OFFSET floor(random() * 15000) LIMIT 20;',
    'DELETE FROM items WHERE ctid IN (SELECT ctid FROM items OFFSET floor(random() * 500) LIMIT 20);',
]);
is(stop_load($load), 0, 'clients beside autovacuum see no error') or diag($load->{out});
ok($node->poll_query_until('postgres', q{SELECT autovacuum_count > 0 FROM pg_stat_all_tables WHERE relname = 'items'}),
    'autovacuum came');
check_clean($node, 'items_v');
same_rows($node, 'items', '<->', '(SELECT q FROM questions WHERE id = 4)', 'all rows beside autovacuum');

log_has_no_fault($node);
done_testing();
