# kill -9 during concurrent inserts, updates, deletes and vacuum: whatever was half done, the index
# is sound after recovery and returns every committed row.
use strict;
use warnings;

use HnswTest;
use Test::More;

my $kROUNDS = 20;

srand(10);
my $node = hnsw_node('crash', restart_after_crash => 'on', log_statement => 'none',
    max_wal_size => '64MB', checkpoint_timeout => '30s');
create_generators($node);
$node->safe_psql('postgres', q{
    CREATE TABLE items (id bigserial, v vector(300)) WITH (autovacuum_enabled = off);
    ALTER TABLE items ALTER id SET NOT NULL;
    CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 16, ef_construction = 64);
    CREATE INDEX items_id ON items (id);
    SELECT setseed(0.1);
    INSERT INTO items (v) SELECT clustered_vector(300) FROM generate_series(1, 2000)});

# What clients do. Places of the same vector give posting chunks; a rolled back insert leaves a row
# that only VACUUM takes out.
my @scripts = (
    'INSERT INTO items (v) SELECT clustered_vector(300) FROM generate_series(1, 5);',
    q{INSERT INTO items (v) VALUES (array_fill(0.5, '{300}')::vector), (NULL);},
    'BEGIN; INSERT INTO items (v) VALUES (clustered_vector(300)); ROLLBACK;',
    'DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT 6);',
    'UPDATE items SET v = clustered_vector(300)
        WHERE id = (SELECT id FROM items OFFSET floor(random() * 500) LIMIT 1);',
    'SELECT id FROM items ORDER BY v <-> clustered_vector(300) LIMIT 5;',
);

for my $round (1 .. $kROUNDS) {
    my $load = start_load($node, clients => 4, scripts => \@scripts, seed => $round);
    my $vacuum = start_load($node, clients => 1, scripts => ['VACUUM items;'], seed => $round);
    select(undef, undef, undef, 0.3 + rand(0.7));
    ok(load_running($load), "round $round: clients were at work") or diag($load->{out});
    if ($round % 2) { kill_server($node) }
    else { ok(kill_backend($node), 'there was a backend to kill') }
    stop_load($_) for $load, $vacuum;
    revive($node);
    check_clean($node, 'items_v');
    same_rows($node, 'items', '<->', "'" . '[' . join(',', (0.5) x 300) . ']' . "'");
}

# Recovery has not worn the graph out either.
$node->safe_psql('postgres', 'VACUUM items; VACUUM items');
check_clean($node, 'items_v');
ask_questions($node, 'items', '<->', 'clustered_vector(300)', 50);
my $survived = recall($node, 'items', '<->', 40);
$node->safe_psql('postgres', 'REINDEX INDEX items_v');
my $fresh = recall($node, 'items', '<->', 40);
# Turning all rows over several times costs tight clusters some of the links between them.
cmp_ok($survived, '>=', $fresh - 0.06, "recall $survived is near that of a new index, $fresh");

done_testing();
