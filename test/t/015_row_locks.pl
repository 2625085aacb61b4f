# Locking clauses over an index scan: the rows locked are the nearest ones, and SKIP LOCKED gives the
# next session the next nearest, which makes the index a queue ordered by distance.
use strict;
use warnings;

use HnswTest;
use Test::More;

my $node = hnsw_node('main');
$node->safe_psql('postgres', q{
    CREATE TABLE t (id int, e vector(2));
    INSERT INTO t SELECT i, ARRAY[i, 1]::vector FROM generate_series(1, 300) i;
    CREATE INDEX t_idx ON t USING hnsw (e vector_l2_ops);
});

# Minor releases of PostgreSQL up to at least 15.18, 16.14, 17.9 and 18.4 lose the ctid of every row
# that an index scan puts into order by a rechecked distance, GiST's too, and a row without one
# cannot be locked.
my $nearest = q{SELECT id, ctid FROM t ORDER BY e <-> '[60.1,1]' LIMIT 2};
if ($node->safe_psql('postgres', "SET enable_seqscan = off; $nearest") =~ /4294967295/) {
    plan skip_all => 'this server loses the ctid of reordered rows';
}

my $lock = q{SELECT id FROM t ORDER BY e <-> '[60.1,1]' LIMIT 2 FOR UPDATE SKIP LOCKED};
my @sessions = map { $node->background_psql('postgres', on_error_die => 1) } 1 .. 2;
for my $session (@sessions) {
    $session->query_safe('SET enable_seqscan = off');
    $session->query_safe('BEGIN');
}
like($sessions[0]->query_safe("EXPLAIN $lock"), qr/Index Scan using t_idx/, 'the plan uses the index');
is($sessions[0]->query_safe($lock), "60\n61", 'the first session locks the nearest');
is($sessions[1]->query_safe($lock), "59\n62", 'the second one the next nearest');
$sessions[0]->query_safe(q{DELETE FROM t WHERE id IN (60, 61)});
$sessions[0]->query_safe('COMMIT');
is($sessions[1]->query_safe($lock), "59\n62", 'its own locks do not stand in its way');
$sessions[1]->query_safe('COMMIT');
is($sessions[0]->query_safe($lock), "59\n62", 'what is unlocked and not deleted is there again');

# Rows that change while another session waits for them are looked at again.
my ($holder, $waiter) = @sessions;
my $wait = $lock =~ s/ SKIP LOCKED//r =~ s/ORDER/WHERE e <-> '[60.1,1]' < 100 ORDER/r;
$holder->query_safe('BEGIN');
$holder->query_safe(q{UPDATE t SET e = '[1000,1]' WHERE id = 59});
$waiter->query_until(qr/begun/, "\\echo begun\n$wait;\n");
$node->poll_query_until('postgres',
    q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'})
    or die 'nobody waits';
$holder->query_safe('COMMIT');
is($waiter->query_safe('SELECT 1'), "62\n58\n1", 'a row that moved away no longer passes');
is($holder->query_safe($lock), "62\n58", 'the nearest rows after the change');
$_->quit for @sessions;
check_clean($node, 't_idx');

done_testing();
