# Records larger than a page, whose parts are written before the head: whatever a crash leaves between
# the parts, no reader takes half a record for a whole one.
use strict;
use warnings;

use HnswTest;
use Test::More;

my $kROUNDS = 6;

srand(13);
my $node = hnsw_node('spanning', restart_after_crash => 'on', log_statement => 'none',
    max_wal_size => '256MB');
create_generators($node);

# Three indexes: the largest record there is, a record that is large for its links, one for its vector.
my %index = (huge => [ 16000, 100, 200 ], linked => [ 384, 100, 200 ], long => [ 9000, 8, 20 ]);
for my $name (sort keys %index) {
    my ($dimensions, $m, $ef) = @{ $index{$name} };
    $node->safe_psql('postgres', qq{
        SELECT setseed(0.6);
        CREATE TABLE $name (id bigserial, v vector($dimensions)) WITH (autovacuum_enabled = off);
        CREATE INDEX ${name}_v ON $name USING hnsw (v vector_l2_ops)
            WITH (m = $m, ef_construction = $ef);
        INSERT INTO $name (v) SELECT uniform_vector($dimensions) FROM generate_series(1, 30)});
    cmp_ok($node->safe_psql('postgres', "SELECT part_bytes FROM hnsw_stats('${name}_v')"), '>', 0,
        "records of $name span pages");
}

# Few rows at a time, so that slots of deleted rows are filled again soon.
my (@scripts, @vacuums);
for my $name (sort keys %index) {
    my $dimensions = $index{$name}[0];
    push @scripts,
        "INSERT INTO $name (v) SELECT uniform_vector($dimensions) FROM generate_series(1, 3);",
        "INSERT INTO $name (v) VALUES (array_fill(1, '{$dimensions}')::vector);",
        "DELETE FROM $name WHERE id IN (SELECT id FROM $name ORDER BY random() LIMIT 3);",
        "SELECT id FROM $name ORDER BY v <-> (SELECT v FROM $name LIMIT 1) LIMIT 10;";
    push @vacuums, "VACUUM $name;";
}
for my $round (1 .. $kROUNDS) {
    my $load = start_load($node, clients => 4, scripts => \@scripts, seed => $round);
    my $vacuum = start_load($node, clients => 1, scripts => \@vacuums, seed => $round);
    select(undef, undef, undef, 0.5 + rand(1.0));
    ok(load_running($load), "round $round: clients were at work") or diag($load->{out});
    if ($round % 2) { kill_server($node) }
    else { ok(kill_backend($node), 'there was a backend to kill') }
    stop_load($_) for $load, $vacuum;
    revive($node);
    for my $name (sort keys %index) {
        check_clean($node, "${name}_v");
        same_rows($node, $name, '<->', "(SELECT v FROM $name ORDER BY id LIMIT 1)");
    }
}

# What crashes left behind is taken up again: no note of a lost part remains.
for my $name (sort keys %index) {
    $node->safe_psql('postgres', "VACUUM (FREEZE) $name; SELECT pg_current_xact_id(); VACUUM $name");
    check_clean($node, "${name}_v");
    is($node->safe_psql('postgres', "SELECT * FROM hnsw_check('${name}_v') WHERE code = 'orphan_part' LIMIT 5"),
        '', 'VACUUM leaves no part that belongs to no record');
    my $size = $node->safe_psql('postgres', "SELECT pg_relation_size('${name}_v')");
    my $rows = $node->safe_psql('postgres', "SELECT count(*) FROM $name");
    my $dimensions = $index{$name}[0];
    $node->safe_psql('postgres', qq{
        DELETE FROM $name;
        VACUUM (FREEZE) $name;
        SELECT pg_current_xact_id();
        VACUUM (FREEZE) $name;
        INSERT INTO $name (v) SELECT uniform_vector($dimensions) FROM generate_series(1, $rows)});
    check_clean($node, "${name}_v");
    same_rows($node, $name, '<->', "(SELECT v FROM $name ORDER BY id LIMIT 1)", "$name was filled again");
    cmp_ok($node->safe_psql('postgres', "SELECT pg_relation_size('${name}_v')"), '<=', 1.1 * $size,
        'in the pages it has');
    # The nearest row to a row is that row, by every index.
    is($node->safe_psql('postgres', qq{SET enable_seqscan = off; SET enable_sort = off;
        SELECT count(*) FROM $name a WHERE id <> (SELECT id FROM $name b ORDER BY b.v <-> a.v LIMIT 1)}),
        '0', "every row of $name finds itself");
}

log_has_no_fault($node);
done_testing();
