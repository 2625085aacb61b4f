# A streaming standby replays everything the primary writes, byte for byte
# (wal_consistency_checking), gives the same answers, and serves cursors while the primary recycles
# the very records they stand on.
use strict;
use warnings;

use HnswTest;
use Test::More;

my $primary = hnsw_node('primary', wal_consistency_checking => 'generic', log_statement => 'none',
    max_wal_size => '1GB');
my $standby = hnsw_standby($primary, 'standby', max_standby_streaming_delay => '-1');

# ---- a mixed load -----------------------------------------------------------------------------

create_generators($primary);
$primary->safe_psql('postgres', q{
    SELECT setseed(0.3);
    CREATE TABLE items (id bigserial, v vector(20));
    INSERT INTO items (v) SELECT clustered_vector(20) FROM generate_series(1, 1500);
    INSERT INTO items (v) SELECT v FROM items WHERE id <= 100;
    INSERT INTO items (v) SELECT '[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]' FROM generate_series(1, 200);
    INSERT INTO items (v) SELECT NULL FROM generate_series(1, 20);
    INSERT INTO items (v) SELECT array_fill(0, '{20}')::vector FROM generate_series(1, 20);
    CREATE INDEX items_l2 ON items USING hnsw (v vector_l2_ops);
    CREATE INDEX items_cosine ON items USING hnsw (v vector_cosine_ops) WITH (m = 8, ef_construction = 32);

    CREATE TABLE wide (id bigserial, v vector(3000));
    CREATE INDEX wide_ip ON wide USING hnsw (v vector_ip_ops) WITH (m = 40, ef_construction = 80);
    CREATE INDEX wide_l1 ON wide USING hnsw (v vector_l1_ops)});
my $load = start_load($primary, clients => 4, seconds => 5, scripts => [
    'INSERT INTO items (v) SELECT clustered_vector(20) FROM generate_series(1, 5);',
    q{INSERT INTO items (v) VALUES (array_fill(1, '{20}')::vector), (NULL), (array_fill(0, '{20}')::vector);},
    'BEGIN; INSERT INTO items (v) VALUES (clustered_vector(20)); ROLLBACK;',
    'DELETE FROM items WHERE id IN (SELECT id FROM items ORDER BY random() LIMIT 5);',
    'UPDATE items SET v = clustered_vector(20)
        WHERE ctid = (SELECT ctid FROM items OFFSET floor(random() * 500) LIMIT 1);',
    'SET enable_seqscan = off; SELECT id FROM items ORDER BY v <-> clustered_vector(20) LIMIT 20;',
    'INSERT INTO wide (v) VALUES (uniform_vector(3000));',
    'DELETE FROM wide WHERE ctid = (SELECT ctid FROM wide LIMIT 1);',
]);
my $vacuum = start_load($primary, clients => 1, seconds => 5, scripts => [
    'VACUUM items;', 'VACUUM wide;', 'SELECT pg_sleep(0.3);']);
is(stop_load($load), 0, 'clients on the primary see no error') or diag($load->{out});
is(stop_load($vacuum), 0, 'nor does VACUUM') or diag($vacuum->{out});

my %operator = (items_l2 => [ 'items', '<->' ], items_cosine => [ 'items', '<=>' ],
    wide_ip => [ 'wide', '<#>' ], wide_l1 => [ 'wide', '<+>' ]);

# Asks both nodes the same; they must agree to the row.
sub same_answers {
    my ($when) = @_;
    wait_for_replay($primary, $standby);
    for my $index (sort keys %operator) {
        my ($table, $operator) = @{ $operator{$index} };
        my $distance = "v $operator (SELECT v FROM $table WHERE v IS NOT NULL ORDER BY id LIMIT 1 OFFSET n)";
        my $nearest = "SELECT id, $distance AS d FROM $table ORDER BY $distance LIMIT 30";
        my $all = "SET enable_seqscan = off; SET enable_sort = off;
            SELECT n, string_agg(id || '=' || d, ' ' ORDER BY d, id) FROM generate_series(0, 9) n,
                LATERAL ($nearest) found GROUP BY n ORDER BY n";
        is($standby->safe_psql('postgres', $all), $primary->safe_psql('postgres', $all),
            "$when: both nodes answer alike by $index");
        my $place = "(SELECT v FROM $table WHERE v IS NOT NULL ORDER BY id LIMIT 1)";
        same_rows($primary, $table, $operator, $place, "$when: the primary returns all rows by $index");
        same_rows($standby, $table, $operator, $place, "$when: the standby returns all rows by $index");
        check_clean($_, $index) for $primary, $standby;
    }
}
same_answers('after the load');

# Scans that find rows dead mark them; the marks are logged.
$primary->safe_psql('postgres', 'DELETE FROM items WHERE id % 3 = 0');
my $marking = q{SET enable_seqscan = off; SET enable_sort = off;
    SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> (SELECT v FROM items WHERE id = 1) OFFSET 0) a};
my $before = $primary->lsn('insert');
$primary->safe_psql('postgres', $marking) for 1 .. 3;
cmp_ok($primary->safe_psql('postgres', "SELECT pg_wal_lsn_diff('" . $primary->lsn('insert') . "', '$before')"),
    '>', 1000, 'scans log what they know to be dead');
same_answers('with marks of dead rows');

$primary->safe_psql('postgres', 'VACUUM items; VACUUM wide');
same_answers('after VACUUM');
$primary->safe_psql('postgres', 'REINDEX TABLE items');
same_answers('after REINDEX');

# ---- cursors on the standby -------------------------------------------------------------------

# Replay must not wait for the cursors, so what goes is rows that they do not see, off heap pages that
# are pruned already (pruning waits for pins): dead line pointers that the index still names.
$primary->safe_psql('postgres', q{
    SELECT setseed(0.4);
    CREATE TABLE places (id integer, v vector(20));
    CREATE INDEX places_v ON places USING hnsw (v vector_l2_ops) WITH (m = 6, ef_construction = 24);
    INSERT INTO places SELECT i, CASE WHEN i % 10 = 0 THEN '[2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2]'
        ELSE clustered_vector(20) END FROM generate_series(1, 3000) i;
    DELETE FROM places WHERE id % 3 <> 0});
$primary->safe_psql('postgres', 'VACUUM (FREEZE, INDEX_CLEANUP off) places');
wait_for_replay($primary, $standby);
my $expected = $standby->safe_psql('postgres', 'SELECT id FROM places ORDER BY id');

my %cursor;
for my $fetched (1, 60, 700) {
    my $session = $standby->background_psql('postgres');
    $session->query_safe('SET enable_seqscan = off; SET enable_sort = off;');
    my $query = q{SELECT id FROM places ORDER BY v <-> (SELECT v FROM places WHERE id = 3)};
    like($session->query_safe("EXPLAIN $query"), qr/Index Scan using places_v/, 'the cursor goes by the index');
    $session->query_safe("BEGIN; DECLARE c CURSOR FOR $query;");
    $cursor{$fetched} = { session => $session,
        rows => [ split /\n/, $session->query_safe("FETCH $fetched FROM c") ] };
    is(scalar @{ $cursor{$fetched}{rows} }, $fetched, "a cursor has returned $fetched rows");
}
my $size = $primary->safe_psql('postgres', q{SELECT pg_relation_size('places_v')});
for my $step ('VACUUM places', 'SELECT pg_current_xact_id(); VACUUM places',
    map { "SELECT setseed(0.$_); INSERT INTO places SELECT 10000 * $_ + i, clustered_vector(20)
        FROM generate_series(1, 850) i" } 1, 2) {
    $primary->safe_psql('postgres', $step);
    wait_for_replay($primary, $standby);
    for my $fetched (sort { $a <=> $b } keys %cursor) {
        push @{ $cursor{$fetched}{rows} }, split /\n/, $cursor{$fetched}{session}->query_safe('FETCH 50 FROM c');
    }
}
is($primary->safe_psql('postgres', q{SELECT pg_relation_size('places_v')}), $size,
    'the records of the deleted rows were filled again');
for my $fetched (sort { $a <=> $b } keys %cursor) {
    my ($rest, $error) = $cursor{$fetched}{session}->query('FETCH ALL FROM c');
    ok(!$error, "the cursor that had returned $fetched rows goes on without an error");
    push @{ $cursor{$fetched}{rows} }, split /\n/, $rest;
    is(join("\n", sort { $a <=> $b } @{ $cursor{$fetched}{rows} }), $expected,
        'and has returned every row its snapshot sees, once');
    $cursor{$fetched}{session}->quit;
}
check_clean($standby, 'places_v');
same_rows($standby, 'places', '<->', '(SELECT v FROM places WHERE id = 3)', 'the standby returns the new rows');

# The standby takes over.
$standby->promote;
$standby->safe_psql('postgres', q{
    INSERT INTO places SELECT 50000 + i, clustered_vector(20) FROM generate_series(1, 300) i;
    DELETE FROM places WHERE id % 2 = 0});
$standby->safe_psql('postgres', 'VACUUM places');
check_clean($standby, 'places_v');
same_rows($standby, 'places', '<->', '(SELECT v FROM places WHERE id = 3)', 'a promoted standby goes on');

log_has_no_fault($_, 0, $_->name . "'s log tells of no fault") for $primary, $standby;
done_testing();
