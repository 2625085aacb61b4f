# CREATE INDEX: in parallel, with too little memory, watched, beside writers, in every kind of table.
use strict;
use warnings;

use HnswTest;
use Test::More;
use Time::HiRes qw(sleep);

my $kROWS = 8000;

my $node = hnsw_node('build', log_statement => 'none', max_wal_size => '1GB', max_worker_processes => 8,
    max_parallel_workers => 8);
create_generators($node);
$node->safe_psql('postgres', qq{
    SELECT setseed(0.15);
    CREATE TABLE items (id integer, v vector(64));
    INSERT INTO items SELECT i, clustered_vector(64) FROM generate_series(1, $kROWS) i;
    INSERT INTO items SELECT $kROWS + i, (SELECT v FROM items WHERE id = 1) FROM generate_series(1, 300) i;
    INSERT INTO items SELECT 20000 + i, NULL FROM generate_series(1, 50) i;
    ANALYZE items});
my $place = '(SELECT v FROM items WHERE id = 11)';
my $create = 'CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 12)';

# ---- workers -----------------------------------------------------------------------------------

# Runs the statement, and `look` again and again while it runs.
sub watch {
    my ($settings, $statement, $look) = @_;
    my $session = $node->background_psql('postgres');
    $session->query_safe($settings);
    $session->{stdin} .= "$statement;\n\\echo built\n";
    until ($session->{stdout} =~ /built/) {
        $session->{run}->pump_nb;
        $look->();
        sleep 0.005;
    }
    is($session->{stderr}, '', substr($statement, 0, 40) . ' succeeds');
    $session->{stdout} = '';
    $session->quit;
    return;
}

# The most workers seen at work at a time.
sub workers_during {
    my ($settings, $statement) = @_;
    my $most = 0;
    my $count = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker' AND leader_pid IS NOT NULL};
    watch($settings, $statement, sub {
        my $now = $node->safe_psql('postgres', $count);
        $most = $now if $now > $most });
    return $most;
}

ask_questions($node, 'items', '<->', 'clustered_vector(64)', 100);
my %recall;
my $workers_setting = q{SET min_parallel_table_scan_size = 0; SET maintenance_work_mem = '256MB';};
for my $workers (0, 1, 2, 4) {
    my $seen = workers_during("$workers_setting SET max_parallel_maintenance_workers = $workers;", $create);
    if ($workers == 0) { is($seen, 0, 'no workers asked for, none at work') }
    else { ok($seen >= 1 && $seen <= $workers, "up to $workers workers: $seen at work") }
    check_clean($node, 'items_v');
    same_rows($node, 'items', '<->', $place, "$workers workers: all rows");
    is($node->safe_psql('postgres', q{SELECT rows || ' ' || null_rows || ' ' || duplicate_rows || ' ' || unreachable_nodes FROM hnsw_stats('items_v')}),
        ($kROWS + 300 + 50) . ' 50 300 0', "$workers workers: every row once, equal ones together");
    $recall{$workers} = recall($node, 'items', '<->', 40);
    $node->safe_psql('postgres', 'DROP INDEX items_v');
}
cmp_ok($recall{$_}, '>=', $recall{0} - 0.02, "$_ workers: recall $recall{$_}, without $recall{0}") for 1, 2, 4;
$node->safe_psql('postgres', 'ALTER TABLE items SET (parallel_workers = 0)');
is(workers_during("$workers_setting SET max_parallel_maintenance_workers = 2;", $create), 0,
    'parallel_workers = 0 of the table is heeded');
$node->safe_psql('postgres', 'DROP INDEX items_v; ALTER TABLE items RESET (parallel_workers)');

# Of vectors in TOAST the table itself has hardly a block, and workers are worth as much.
$node->safe_psql('postgres', q{
    CREATE TABLE wide AS SELECT id, (v || v || v || v || v || v || v || v || v || v)::vector(640) AS v FROM items WHERE id <= 4000;
    ANALYZE wide});
cmp_ok($node->safe_psql('postgres', q{SELECT pg_relation_size('wide')}), '<', 1 << 20, 'vectors in TOAST');
my $wide = "SET maintenance_work_mem = '256MB'; SET max_parallel_maintenance_workers = 1; SET min_parallel_table_scan_size";
for my $case ([ '8MB', 1 ], [ '12MB', 0 ]) {
    my ($size, $expected) = @$case;
    is(workers_during("$wide = '$size';", 'CREATE INDEX wide_v ON wide USING hnsw (v vector_l2_ops)'), $expected,
        "10 MB of vectors in TOAST, $size at least for a worker: $expected at work");
    check_clean($node, 'wide_v');
    $node->safe_psql('postgres', 'DROP INDEX wide_v');
}
is($node->safe_psql('postgres', "$wide = '4MB'; CREATE INDEX ON wide USING hnsw (v vector_l2_ops); SHOW min_parallel_table_scan_size"),
    '4MB', 'the setting is as it was');

# ---- little memory -----------------------------------------------------------------------------

for my $case ([ 0, '1MB' ], [ 2, '1MB' ], [ 0, '4MB' ], [ 2, '4MB' ], [ 2, '2MB', 1 ]) {
    my ($workers, $memory, $forced) = @$case;
    # As the server sees it a worker is not worth less than 32 MB.
    $node->safe_psql('postgres', "ALTER TABLE items SET (parallel_workers = $workers)") if $forced;
    my $helpers = $forced ? $workers : 0;
    my ($status, $out, $error) = $node->psql('postgres', "SET min_parallel_table_scan_size = 0; SET client_min_messages = debug1;
        SET max_parallel_maintenance_workers = $workers; SET maintenance_work_mem = '$memory'; $create");
    is($status, 0, "with $memory and $workers workers the build goes on") or diag($error);
    like($error, qr/hnsw build: [2-9] regions, $helpers workers, 0 rows inserted one by one/, 'in regions, which come out even')
        if $memory ne '4MB';
    is($node->safe_psql('postgres', q{SELECT rows || ' ' || null_rows || ' ' || unreachable_nodes FROM hnsw_stats('items_v')}),
        ($kROWS + 300 + 50) . ' 50 0', 'every row once, every node reachable');
    check_clean($node, 'items_v');
    same_rows($node, 'items', '<->', $place, "with $memory and $workers workers: all rows");
    my $recall = recall($node, 'items', '<->', 40);
    cmp_ok($recall, '>=', $recall{0} - 0.02, "with $memory and $workers workers: recall $recall, with enough $recall{0}");
    $node->safe_psql('postgres', 'DROP INDEX items_v; ALTER TABLE items RESET (parallel_workers)');
}

# ---- progress ----------------------------------------------------------------------------------

my (%phases, $tuples);
watch('SET max_parallel_maintenance_workers = 0;', $create, sub {
    my ($phase, $done) = split /\|/, $node->safe_psql('postgres',
        q{SELECT phase, greatest(tuples_done, blocks_done) FROM pg_stat_progress_create_index});
    return unless defined $phase;
    $phases{$phase}++;
    $tuples = $done if $done && $done > ($tuples // 0) });
cmp_ok(scalar(grep { /^building index: \S/ } keys %phases), '>=', 1, 'phases have names: ' . join(', ', sort keys %phases));
cmp_ok($tuples // 0, '>', 0, 'work done is counted');

# ---- beside writers ----------------------------------------------------------------------------

$node->safe_psql('postgres', 'DROP INDEX items_v');
for my $round (1, 2) {
    my $load = start_load($node, clients => 4, seconds => 8, seed => $round, scripts => [
        'INSERT INTO items SELECT 100000, clustered_vector(64) FROM generate_series(1, 2);',
        "\\set id random(1, 8000)\nUPDATE items SET v = clustered_vector(64) WHERE id = :id;",
        "\\set id random(1, 8000)\nDELETE FROM items WHERE id = :id;",
        'INSERT INTO items VALUES (200000, NULL);',
    ]);
    $node->safe_psql('postgres', $round == 1 ? $create =~ s/INDEX/INDEX CONCURRENTLY/r : 'REINDEX INDEX CONCURRENTLY items_v');
    is(stop_load($load), 0, ($round == 1 ? 'CREATE' : 'REINDEX') . ' INDEX CONCURRENTLY disturbs no writer') or diag($load->{out});
    is($node->safe_psql('postgres', q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'items_v'::regclass}), 't', 'and makes a valid index');
    check_clean($node, 'items_v');
    $node->safe_psql('postgres', 'UPDATE items SET id = id + 0') if $round == 2;
    $node->safe_psql('postgres', 'CREATE TABLE numbered AS SELECT row_number() OVER ()::integer AS id, v FROM items');
    $node->safe_psql('postgres', 'DROP TABLE numbered');
    is($node->safe_psql('postgres', "SET enable_seqscan = off; SET enable_sort = off;
        SELECT count(*) FROM (SELECT ctid FROM items ORDER BY v <-> $place OFFSET 0) a"),
        $node->safe_psql('postgres', 'SELECT count(*) FROM items'), 'that returns every row');
}

# ---- kinds of tables ---------------------------------------------------------------------------

$node->safe_psql('postgres', q{
    CREATE TABLE parted (id integer, v vector(64)) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (500);
    CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (500) TO (1000);
    INSERT INTO parted SELECT i, clustered_vector(64) FROM generate_series(0, 999) i;
    CREATE INDEX parted_v ON parted USING hnsw (v vector_ip_ops)});
check_clean($node, $_) for 'parted_1_v_idx', 'parted_2_v_idx';
same_rows($node, 'parted', '<#>', $place, 'a partitioned table: all rows');

is($node->safe_psql('postgres', q{
    CREATE TEMP TABLE brief (id integer, v vector(64));
    INSERT INTO brief SELECT i, clustered_vector(64) FROM generate_series(1, 500) i;
    CREATE INDEX brief_v ON brief USING hnsw (v vector_l1_ops);
    INSERT INTO brief SELECT i, clustered_vector(64) FROM generate_series(501, 600) i;
    DELETE FROM brief WHERE id % 2 = 0;
    VACUUM brief;
    SELECT count(*) FROM hnsw_check('brief_v') WHERE severity = 'error';
    SET enable_seqscan = off;
    SELECT count(*) FROM (SELECT id FROM brief ORDER BY v <+> (SELECT v FROM brief WHERE id = 1) OFFSET 0) a}),
    "0\n300", 'a temporary table');

# A build is logged whole at its end: it outlives a crash right behind it.
$node->safe_psql('postgres', 'CHECKPOINT; REINDEX INDEX items_v');
kill_server($node);
$node->start;
check_clean($node, 'items_v');
# With wal_level = minimal and a table made in the same transaction nothing is logged but synced.
$node->append_conf('postgresql.conf', "wal_level = minimal\nmax_wal_senders = 0\n");
$node->restart;
$node->safe_psql('postgres', q{
    BEGIN;
    CREATE TABLE skipped (id integer, v vector(64));
    INSERT INTO skipped SELECT id, v FROM items WHERE id < 3000;
    CREATE INDEX skipped_v ON skipped USING hnsw (v vector_l2_ops);
    INSERT INTO skipped SELECT id, v FROM items WHERE id BETWEEN 3000 AND 3200;
    COMMIT});
kill_server($node);
$node->start;
check_clean($node, 'skipped_v');
same_rows($node, 'skipped', '<->', $place, 'wal_level = minimal: all rows after a crash');

log_has_no_fault($node);
done_testing();
