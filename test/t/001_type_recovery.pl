# Vectors survive a crash and reach a standby as they were, in the heap, out of line and in a btree
# index.
use strict;
use warnings;

use HnswTest;
use Test::More;

my $primary = hnsw_node('primary', wal_consistency_checking => 'all');
my $standby = hnsw_standby($primary, 'standby');

# 16,000 dimensions are 64 kB: stored out of line.
$primary->safe_psql('postgres', q{
    CREATE TABLE items (id int PRIMARY KEY, small vector(3), big vector);
    CREATE INDEX ON items (small);
    INSERT INTO items
    SELECT i, array[i, i / 3.0, -i]::real[],
           (SELECT array_agg(sin(i * d)) FROM generate_series(1, 16000) d)::real[]
    FROM generate_series(1, 40) i;
    UPDATE items SET small = small + '[1,1,1]' WHERE id % 4 = 0;
    DELETE FROM items WHERE id % 5 = 0;
});

my $digest = q{SELECT count(*), md5(string_agg(id || small::text || big::text, ';' ORDER BY id)) FROM items};
my $nearest = q{SELECT string_agg(id::text, ',' ORDER BY small <-> '[10,3,-10]', id) FROM items};
my $found = q{SET enable_seqscan = off; SELECT id FROM items WHERE small = array[11, 11 / 3.0, -11]::real[]::vector};
my %before = map { $_ => $primary->safe_psql('postgres', $_) } $digest, $nearest, $found;
like($before{$digest}, qr/^32\|/, 'the rows that should be there are');
is($before{$found}, '11', 'the btree index finds a vector');

wait_for_replay($primary, $standby);
is($standby->safe_psql('postgres', $_), $before{$_}, "standby agrees: $_") for sort keys %before;

$primary->stop('immediate');
$primary->start;
is($primary->safe_psql('postgres', $_), $before{$_}, "after a crash: $_") for sort keys %before;

$standby->promote;
$standby->safe_psql('postgres', q{INSERT INTO items VALUES (100, '[1,2,3]', '[1]')});
is($standby->safe_psql('postgres', q{SELECT id FROM items ORDER BY small <-> '[1,2,3]', id LIMIT 1}),
    '100', 'a promoted standby takes new vectors');

done_testing();
