# CREATE INDEX, inserts and VACUUM cancelled wherever they happen to be: the index stays sound, nothing
# committed is missing, and a later VACUUM finishes the job.
use strict;
use warnings;

use HnswTest;
use Test::More;
use Time::HiRes qw(time);

srand(12);
my $node = hnsw_node('cancel', log_statement => 'none', max_wal_size => '1GB');
create_generators($node);
$node->safe_psql('postgres', q{
    SELECT setseed(0.5);
    CREATE TABLE items (id integer NOT NULL, v vector(48));
    INSERT INTO items SELECT i, clustered_vector(48) FROM generate_series(1, 4000) i;
    INSERT INTO items SELECT 10000 + i, v FROM items, generate_series(1, 30) i WHERE id = 1});
my $place = '(SELECT v FROM items WHERE id = 7)';

# Runs the statement with a time limit at that share of `seconds`; returns whether it was cancelled.
sub cancelled {
    my ($statement, $share, $seconds) = @_;
    my $limit = 1 + int(1000 * $share * $seconds);
    my ($status, $out, $error) = $node->psql('postgres', "SET statement_timeout = $limit;\n$statement");
    return 0 if $status == 0;
    like($error, qr/canceling statement due to statement timeout/, 'cancelled, not failed');
    return 1;
}

sub seconds_for {
    my ($statement) = @_;
    my $start = time;
    $node->safe_psql('postgres', $statement);
    return time - $start;
}

# ---- CREATE INDEX -----------------------------------------------------------------------------

my $build = 'CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 12)';
for my $case ([ 0, '64MB' ], [ 2, '64MB' ], [ 2, '1MB' ]) {
    my ($workers, $memory) = @$case;
    my $setting = "SET max_parallel_maintenance_workers = $workers; SET maintenance_work_mem = '$memory'";
    $node->safe_psql('postgres', "ALTER TABLE items SET (parallel_workers = $workers)");
    my $seconds = seconds_for("$setting; $build; DROP INDEX items_v");
    my $cancelled = 0;
    for my $round (1 .. 8) {
        if (cancelled("$setting; $build", ($round - 1 + rand) / 8, $seconds)) {
            $cancelled++;
            is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'items_v'}),
                '0', 'a cancelled CREATE INDEX leaves nothing');
        } else {
            $node->safe_psql('postgres', 'DROP INDEX items_v');
        }
    }
    cmp_ok($cancelled, '>=', 1, "$cancelled of 8 builds with $workers workers and $memory were cancelled");
}

# A worker that is terminated takes the build with it.
for my $memory ('64MB', '1MB') {
    my $session = $node->background_psql('postgres', on_error_stop => 0);
    $session->{stdin} .= "SET max_parallel_maintenance_workers = 2; SET maintenance_work_mem = '$memory';\n$build;\n\\echo over\n";
    until ($session->{stdout} =~ /over/) {
        $session->{run}->pump_nb;
        $node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'parallel worker'});
    }
    like($session->{stderr}, qr/terminating .*due to administrator command/, "with $memory: a terminated worker's error");
    $session->{stdout} = '';
    $session->quit;
    is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'items_v'}), '0', 'nothing is left');
}
$node->safe_psql('postgres', $build);
check_clean($node, 'items_v');

# REINDEX leaves the old index in place, CONCURRENTLY an invalid one beside it.
my $seconds = seconds_for('REINDEX INDEX items_v');
cancelled('REINDEX INDEX items_v', rand, $seconds) for 1 .. 3;
check_clean($node, 'items_v');
cancelled('REINDEX INDEX CONCURRENTLY items_v', rand, $seconds) for 1 .. 3;
$node->safe_psql('postgres', 'DROP INDEX IF EXISTS items_v_ccnew, items_v_ccnew1, items_v_ccnew2');
check_clean($node, 'items_v');
same_rows($node, 'items', '<->', $place, 'all rows after cancelled REINDEX');

# ---- inserts ----------------------------------------------------------------------------------

my $insert = 'INSERT INTO items SELECT 20000 + i, CASE WHEN i % 5 = 0 THEN (SELECT v FROM items WHERE id = 2)
    ELSE clustered_vector(48) END FROM generate_series(1, 1000) i';
$seconds = seconds_for("BEGIN; $insert; ROLLBACK");
my $cancelled = 0;
for my $round (1 .. 8) {
    $cancelled += cancelled($insert, ($round - 1 + rand) / 9, $seconds);
    check_clean($node, 'items_v');
}
cmp_ok($cancelled, '>=', 1, "$cancelled of 8 INSERTs were cancelled");
same_rows($node, 'items', '<->', $place, 'all rows after cancelled inserts');

# A load whose backends are cancelled and terminated from outside.
my $load = start_load($node, clients => 4, seconds => 4, scripts => [
    'INSERT INTO items SELECT 30000, clustered_vector(48) FROM generate_series(1, 20);',
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND state = 'active';",
    'SELECT pg_sleep(0.05);',
]);
stop_load($load);
check_clean($node, 'items_v');
same_rows($node, 'items', '<->', $place, 'all rows after cancelled backends');

# ---- VACUUM -----------------------------------------------------------------------------------

$node->safe_psql('postgres', 'VACUUM items; VACUUM items');
$node->safe_psql('postgres', "CREATE TABLE kept AS SELECT * FROM items");
my $refill = 'TRUNCATE items; INSERT INTO items SELECT * FROM kept; DELETE FROM items WHERE id % 2 = 0 OR id = 30000';
$node->safe_psql('postgres', $refill);
$seconds = seconds_for('VACUUM items');
$cancelled = 0;
for my $round (1 .. 10) {
    $node->safe_psql('postgres', $refill) if $round == 1 || $round == 6;
    my $was = cancelled('VACUUM items', ($round - 1) % 5 / 5 + rand() / 5, $seconds);
    check_clean($node, 'items_v');
    same_rows($node, 'items', '<->', $place, 'all rows after a VACUUM that was ' . ($was ? 'cancelled' : 'not cancelled'));
    $cancelled += $was;
    # A cancelled one leaves work for the next.
    $node->safe_psql('postgres', q{DELETE FROM items WHERE id % 3 = 0}) if $round == 3;
}
cmp_ok($cancelled, '>=', 1, "$cancelled of 10 VACUUMs were cancelled");
vacuum_all($node, 'items');
check_clean($node, 'items_v');
is($node->safe_psql('postgres', q{SELECT rows || ' rows, ' || deleted_nodes || ' deleted, ' || unreachable_nodes
        || ' unreachable' FROM hnsw_stats('items_v')}),
    $node->safe_psql('postgres', 'SELECT count(*) FROM items') . ' rows, 0 deleted, 0 unreachable',
    'the last VACUUM finished the job');

# ---- scans ------------------------------------------------------------------------------------

# A scan cancelled in the middle of a full pass leaves nothing behind in its session.
my ($status, $out, $error) = $node->psql('postgres', qq{
    SET enable_seqscan = off; SET enable_sort = off; SET hnsw.ef_search = 10000; SET statement_timeout = 20;
    SELECT count(*) FROM generate_series(1, 50) n,
        LATERAL (SELECT id FROM items ORDER BY v <-> (SELECT v FROM kept LIMIT 1 OFFSET n) OFFSET 0) a;
    SET statement_timeout = 0;
    SELECT 'rows ' || count(*) FROM (SELECT id FROM items ORDER BY v <-> $place LIMIT 50) b},
    on_error_stop => 0);
like($error, qr/canceling statement due to statement timeout/, 'a scan is cancelled');
like($out, qr/rows 50/, 'and its session goes on');

log_has_no_fault($node);
done_testing();
