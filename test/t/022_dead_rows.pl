# A scan remembers the rows it found dead (kill_prior_tuple): later scans do not visit the heap for
# them, and rows that come to the same places are not taken for them.
use strict;
use warnings;
use HnswTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = hnsw_node('primary');
$node->safe_psql('postgres', q{
    CREATE TABLE t (id int, e vector(3));
    INSERT INTO t SELECT i, ARRAY[i, i % 7, 1]::vector FROM generate_series(1, 2000) i;
    CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops);
});

my $nearest = q{
    SET enable_seqscan = off;
    SET enable_sort = off;
    SELECT string_agg(id::text, ',') FROM
        (SELECT id FROM t ORDER BY e <-> '[1,1,1]' LIMIT 5) s;
};

# Runs the query; returns its answer and how many rows the index handed out for it.
sub ask {
    my $count = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 't_idx'";
    my $before = $node->safe_psql('postgres', $count);
    my $answer = $node->safe_psql('postgres', $nearest . 'SELECT pg_stat_force_next_flush();');
    $answer =~ s/\n.*//s;
    $node->poll_query_until('postgres', "SELECT ($count) > $before")
        or die 'the scan was not counted';
    return ($answer, $node->safe_psql('postgres', $count) - $before);
}

my ($answer, $read) = ask();
is($answer, '1,2,3,4,5', 'all rows there');
cmp_ok($read, '<', 100, 'few rows read');

$node->safe_psql('postgres', 'DELETE FROM t WHERE id <= 1000');
($answer, $read) = ask();
is($answer, '1001,1002,1003,1004,1005', 'dead rows are passed over');
cmp_ok($read, '>=', 1000, 'the first scan meets them');
($answer, $read) = ask();
is($answer, '1001,1002,1003,1004,1005', 'the same answer from the second scan');
cmp_ok($read, '<', 300, 'which does not ask the heap again');
check_clean($node, 't_idx');

# The places are taken by other rows, in the heap and in the index.
vacuum_all($node, 't');
$node->safe_psql('postgres',
    'INSERT INTO t SELECT i, ARRAY[i, i % 7, 1]::vector FROM generate_series(1, 1000) i');
($answer, $read) = ask();
is($answer, '1,2,3,4,5', 'new rows in the old places');
check_clean($node, 't_idx');

$node->stop;
done_testing();
