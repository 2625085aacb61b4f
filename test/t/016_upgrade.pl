# What outlives an index: dumps, rebuilds, crashes of unlogged tables, and metapages of another
# version.
use strict;
use warnings;

use HnswTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = hnsw_node('upgrade', log_statement => 'none');
create_generators($node);
$node->safe_psql('postgres', q{
    SELECT setseed(0.8);
    CREATE TABLE items (id integer PRIMARY KEY, v vector(12));
    INSERT INTO items SELECT i, clustered_vector(12) FROM generate_series(1, 2000) i;
    INSERT INTO items VALUES (2001, NULL), (2002, array_fill(0, '{12}')::vector), (2003, NULL);
    INSERT INTO items SELECT 3000 + id, v FROM items WHERE id <= 50;
    CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 10, ef_construction = 50);
    CREATE INDEX items_cosine ON items USING hnsw (v vector_cosine_ops);
    CREATE INDEX items_half ON items USING hnsw ((subvector(v, 1, 6)::vector(6)) vector_ip_ops) WHERE id % 2 = 0});

my $place = q{(SELECT v FROM items WHERE id = 5)};
my %question = (
    items_v => "SELECT string_agg(id::text, ',' ORDER BY d, id) FROM
        (SELECT id, v <-> $place AS d FROM items ORDER BY v <-> $place LIMIT 50) a",
    items_cosine => "SELECT string_agg(id::text, ',' ORDER BY d, id) FROM
        (SELECT id, v <=> $place AS d FROM items ORDER BY v <=> $place LIMIT 50) a",
    items_half => "SELECT string_agg(id::text, ',' ORDER BY d, id) FROM
        (SELECT id, subvector(v, 1, 6)::vector(6) <#> subvector($place, 1, 6) AS d FROM items WHERE id % 2 = 0
            ORDER BY subvector(v, 1, 6)::vector(6) <#> subvector($place, 1, 6) LIMIT 50) a");
my $by_index = 'SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off; SET hnsw.ef_search = 400;';

sub answers {
    my ($database, $settings) = @_;
    return { map { $_ => $node->safe_psql($database, "$settings $question{$_}") } keys %question };
}
my $exact = answers('postgres', 'SET enable_indexscan = off;');
is_deeply(answers('postgres', $by_index), $exact, 'the indexes answer as the table does');
for my $index (sort keys %question) {
    like($node->safe_psql('postgres', "$by_index EXPLAIN $question{$index}"), qr/Index Scan using $index/,
        "that was $index");
}

# ---- dump and restore, in each format ---------------------------------------------------------

for my $format ('plain', 'custom') {
    my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';
    $node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, 'postgres' ], "pg_dump, $format");
    $node->safe_psql('postgres', "CREATE DATABASE $format");
    $node->command_ok([ $format eq 'plain' ? ('psql', '-q', '-v', 'ON_ERROR_STOP=1', '-f') : ('pg_restore', '-d', $format),
            $format eq 'plain' ? ($file, $format) : $file ], "restored, $format");
    is_deeply(answers($format, $by_index), $exact, "the restored database answers alike, $format");
    check_clean($node, $_, $format) for sort keys %question;
    is($node->safe_psql($format, q{SELECT m || ' ' || ef_construction FROM hnsw_stats('items_v')}), '10 50',
        'with the same storage parameters');
}
my ($status, $out, $error) = $node->psql('plain', 'DROP EXTENSION hnsw');
like($error, qr/other objects depend on it/, 'the extension is not dropped under its indexes');
$node->safe_psql('plain', q{
    DROP EXTENSION hnsw CASCADE;
    CREATE EXTENSION hnsw;
    ALTER TABLE items ADD v vector(3);
    UPDATE items SET v = ARRAY[id, 1, 2]::real[];
    CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops)});
check_clean($node, 'items_v', 'plain');
is($node->safe_psql('plain', "$by_index SELECT id FROM items ORDER BY v <-> '[7,1,2]' LIMIT 1"), '7',
    'the extension dropped and created again works');
$node->safe_psql('postgres', "CREATE DATABASE copied TEMPLATE custom");
is_deeply(answers('copied', $by_index), $exact, 'a copied database answers alike');

# ---- rebuilding -------------------------------------------------------------------------------

$node->safe_psql('postgres', 'REINDEX INDEX items_v; REINDEX INDEX CONCURRENTLY items_cosine; REINDEX TABLE CONCURRENTLY items');
is_deeply(answers('postgres', $by_index), $exact, 'rebuilt indexes answer alike');
check_clean($node, $_) for sort keys %question;
$node->safe_psql('postgres', 'VACUUM FULL items');
is_deeply(answers('postgres', $by_index), $exact, 'after VACUUM FULL as well');
$node->safe_psql('postgres', 'CLUSTER items USING items_pkey');
check_clean($node, $_) for sort keys %question;
$node->safe_psql('postgres', 'ALTER INDEX items_v SET (m = 20)');
is($node->safe_psql('postgres', q{SELECT m FROM hnsw_stats('items_v')}), '10', 'a changed m waits for REINDEX');
$node->safe_psql('postgres', 'REINDEX INDEX items_v');
is($node->safe_psql('postgres', q{SELECT m FROM hnsw_stats('items_v')}), '20', 'and comes with it');
$node->safe_psql('postgres', q{
    BEGIN; TRUNCATE items; INSERT INTO items VALUES (1, array_fill(1, '{12}')::vector); ROLLBACK});
is_deeply(answers('postgres', $by_index), $exact, 'a rolled back TRUNCATE changes nothing');

# ---- unlogged tables --------------------------------------------------------------------------

$node->safe_psql('postgres', q{
    CREATE UNLOGGED TABLE fleeting (id integer, v vector(12));
    CREATE INDEX fleeting_v ON fleeting USING hnsw (v vector_cosine_ops) WITH (m = 7, ef_construction = 30);
    INSERT INTO fleeting SELECT id, v FROM items;
    CREATE UNLOGGED TABLE late AS SELECT * FROM items;
    CREATE INDEX late_v ON late USING hnsw (v vector_l2_ops)});
$node->restart;
is($node->safe_psql('postgres', 'SELECT count(*) FROM fleeting'), '2053', 'unlogged rows outlive a shutdown');
same_rows($node, 'fleeting', '<=>', $place);
check_clean($node, 'fleeting_v');
kill_server($node);
$node->start;
for my $table ('fleeting', 'late') {
    is($node->safe_psql('postgres', "SELECT count(*) FROM $table"), '0', "$table is empty after a crash");
    is($node->safe_psql('postgres', "$by_index SELECT id FROM $table ORDER BY v <-> (SELECT v FROM items WHERE id = 1)"),
        '', 'its index as well');
    check_clean($node, "${table}_v");
    $node->safe_psql('postgres', "INSERT INTO $table SELECT id, v FROM items");
    check_clean($node, "${table}_v");
}
is($node->safe_psql('postgres', q{SELECT m || ' ' || ef_construction || ' ' || metric FROM hnsw_stats('fleeting_v')}),
    '7 30 cosine', 'the index of an unlogged table keeps its parameters');
same_rows($node, 'fleeting', '<=>', $place, 'and takes rows again');
$node->safe_psql('postgres', 'ALTER TABLE fleeting SET LOGGED; ALTER TABLE late SET LOGGED; CHECKPOINT');
kill_server($node);
$node->start;
same_rows($node, 'fleeting', '<=>', $place, 'a table made logged outlives a crash');
check_clean($node, $_) for 'fleeting_v', 'late_v';
is_deeply(answers('postgres', $by_index), $exact, 'permanent tables do anyway');

# ---- another format version -------------------------------------------------------------------

# The metapage is block 0: page header, magic, version.
my $path = $node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('items_v')});
sub write_at {
    my ($offset, $bytes) = @_;
    open(my $file, '+<:raw', $path) or die "$path: $!";
    seek($file, $offset, 0);
    print $file $bytes;
    close $file;
}
$node->stop;
write_at(24 + 4, pack('L', 77));
$node->start;
for my $statement ($question{items_v}, q{INSERT INTO items VALUES (9000, array_fill(1, '{12}')::vector)},
    q{SELECT * FROM hnsw_check('items_v')}, q{SELECT * FROM hnsw_stats('items_v')}) {
    ($status, $out, $error) = $node->psql('postgres', "$by_index \\set VERBOSITY verbose\n$statement");
    like($error, qr/XX002: index "items_v" cannot be used: its format version is 77, this library knows version \d.*HINT:  REINDEX INDEX/s,
        'an unknown version is named: ' . substr($statement, 0, 40));
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM items WHERE v IS NOT NULL'), '2051', 'the table is not held back');
($status, $out, $error) = $node->psql('postgres', 'DELETE FROM items WHERE id = 2002; VACUUM items');
like($error, qr/format version is 77/, 'nor does VACUUM touch such an index');
$node->safe_psql('postgres', q{REINDEX INDEX items_v; INSERT INTO items VALUES (2002, array_fill(0, '{12}')::vector); VACUUM items});
is_deeply(answers('postgres', $by_index), $exact, 'REINDEX makes it usable');
check_clean($node, 'items_v');

done_testing();
