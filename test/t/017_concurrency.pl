# Many clients at once: equal vectors, updates of the vector and of other columns, scans, VACUUM without
# pause. Nobody sees an error, and the index is sound and complete afterwards.
use strict;
use warnings;

use HnswTest;
use Test::More;

my $node = hnsw_node('concurrency', log_statement => 'none', max_wal_size => '1GB', max_connections => 60,
    shared_buffers => '16MB');
create_generators($node);
my $one = "'[" . join(',', (1) x 16) . "]'";

# ---- an empty index that everybody fills ------------------------------------------------------

for my $round (1 .. 5) {
    $node->safe_psql('postgres', q{
        DROP TABLE IF EXISTS rush;
        CREATE TABLE rush (id serial, v vector(16));
        CREATE INDEX rush_v ON rush USING hnsw (v vector_cosine_ops) WITH (m = 4, ef_construction = 16)});
    my $load = start_load($node, clients => 12, transactions => 10, seed => $round,
        scripts => [ 'INSERT INTO rush (v) VALUES (uniform_vector(16));' ]);
    is(stop_load($load), 0, "round $round: twelve clients fill an empty index") or diag($load->{out});
    check_clean($node, 'rush_v');
    same_rows($node, 'rush', '<=>', $one);
    # Neighbours that drop each other at the same time may leave a node to the exact pass until VACUUM.
    cmp_ok($node->safe_psql('postgres', q{SELECT unreachable_nodes FROM hnsw_stats('rush_v')}), '<=', 2, 'few nodes are lost');
    $node->safe_psql('postgres', 'DELETE FROM rush WHERE id = 60; VACUUM rush');
    is($node->safe_psql('postgres', q{SELECT unreachable_nodes FROM hnsw_stats('rush_v')}), '0', 'and VACUUM finds them');
}

# ---- one vector, many rows --------------------------------------------------------------------

$node->safe_psql('postgres', q{
    CREATE TABLE same (id serial, v vector(16));
    CREATE INDEX same_v ON same USING hnsw (v vector_l2_ops)});
my $load = start_load($node, clients => 10, seconds => 5, scripts => [
    "INSERT INTO same (v) VALUES ($one);",
    "INSERT INTO same (v) SELECT $one FROM generate_series(1, 30);",
    'DELETE FROM same WHERE ctid = ANY (ARRAY(SELECT ctid FROM same LIMIT 20));',
    "SELECT id FROM same ORDER BY v <-> $one LIMIT 5;",
]);
my $vacuum = start_load($node, clients => 1, seconds => 5, scripts => [ 'VACUUM same;' ]);
is(stop_load($_), 0, 'equal vectors: no client sees an error') or diag($_->{out}) for $load, $vacuum;
check_clean($node, 'same_v');
same_rows($node, 'same', '<->', $one);
cmp_ok($node->safe_psql('postgres', q{SELECT nodes_per_level[1] FROM hnsw_stats('same_v')}), '<=', 12,
    'they share a node, or a few that clients made at the same time');

# ---- everything at once -----------------------------------------------------------------------

$node->safe_psql('postgres', qq{
    SELECT setseed(0.05);
    CREATE TABLE items (id serial PRIMARY KEY, hits integer DEFAULT 0, v vector(16)) WITH (fillfactor = 80);
    CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 32);
    CREATE INDEX items_hits ON items (hits);
    INSERT INTO items (v) SELECT clustered_vector(16) FROM generate_series(1, 2000);
    INSERT INTO items (v) SELECT $one FROM generate_series(1, 100)});
$load = start_load($node, clients => 20, seconds => 12, scripts => [
    'INSERT INTO items (v) SELECT clustered_vector(16) FROM generate_series(1, 3);',
    "INSERT INTO items (v) VALUES ($one), (NULL), ((SELECT v FROM items ORDER BY id LIMIT 1));",
    "\\set id random(1, 2000)\nUPDATE items SET v = clustered_vector(16) WHERE id = :id;",
    "\\set id random(1, 2000)\nUPDATE items SET hits = hits + 1 WHERE id = :id;",
    "\\set id random(1, 2000)\nBEGIN; UPDATE items SET v = $one WHERE id = :id; ROLLBACK;",
    "\\set id random(1, 6000)\nDELETE FROM items WHERE id = :id;",
    'SELECT id FROM items ORDER BY v <-> clustered_vector(16) LIMIT 10;',
    'SELECT id FROM items WHERE id % 100 = 7 ORDER BY v <-> clustered_vector(16) LIMIT 10;',
    "BEGIN; DECLARE c CURSOR FOR SELECT id FROM items ORDER BY v <-> $one; FETCH 5 FROM c;
        SELECT pg_sleep(0.05); FETCH 200 FROM c; COMMIT;",
]);
$vacuum = start_load($node, clients => 1, seconds => 12, scripts => [ 'VACUUM items;' ]);
# hnsw_check looks twice before it calls something wrong: beside writers it finds nothing either.
my ($looks, $found) = (0, '');
while (load_running($load)) {
    $found .= $node->safe_psql('postgres', q{SELECT * FROM hnsw_check('items_v') WHERE severity = 'error' LIMIT 5});
    $looks++;
}
is(stop_load($_), 0, 'a mixed load: no client sees an error') or diag($_->{out}) for $load, $vacuum;
is($found, '', "hnsw_check beside the load found nothing in $looks looks");
check_clean($node, 'items_v');
same_rows($node, 'items', '<->', $one);
$node->safe_psql('postgres', 'VACUUM items; VACUUM items');
check_clean($node, 'items_v');
is($node->safe_psql('postgres', q{SELECT deleted_nodes || ' ' || unreachable_nodes FROM hnsw_stats('items_v')}), '0 0',
    'VACUUM leaves no deleted and no unreachable node');
ask_questions($node, 'items', '<->', 'clustered_vector(16)', 100);
my $used = recall($node, 'items', '<->', 40);
$node->safe_psql('postgres', 'REINDEX INDEX items_v');
my $fresh = recall($node, 'items', '<->', 40);
cmp_ok($used, '>=', $fresh - 0.02, "recall $used is that of a new index, $fresh");

# ---- rows that come and go at one place -------------------------------------------------------

# Few pages, so that slots are filled again while others still stand on them.
$node->safe_psql('postgres', q{
    CREATE TABLE churn (id serial, v vector(200));
    CREATE INDEX churn_v ON churn USING hnsw (v vector_ip_ops) WITH (m = 12, ef_construction = 24)});
$load = start_load($node, clients => 8, seconds => 8, scripts => [
    'INSERT INTO churn (v) SELECT uniform_vector(200) FROM generate_series(1, 4);',
    'DELETE FROM churn WHERE id IN (SELECT id FROM churn LIMIT 5 FOR UPDATE SKIP LOCKED);',
    'SELECT count(*) FROM (SELECT id FROM churn ORDER BY v <#> uniform_vector(200) OFFSET 0) a;',
]);
$vacuum = start_load($node, clients => 2, seconds => 8, scripts => [ 'VACUUM churn;' ]);
is(stop_load($_), 0, 'churn: no client sees an error') or diag($_->{out}) for $load, $vacuum;
check_clean($node, 'churn_v');
same_rows($node, 'churn', '<#>', '(SELECT v FROM churn LIMIT 1)');

log_has_no_fault($node);
my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
is(join("\n", grep { /ERROR|FATAL/ } split /\n/, $log), '', 'the log holds no error at all');
done_testing();
