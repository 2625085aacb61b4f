# Recall through SQL: every operator class, built at once and filled row by row, before and after
# VACUUM. An index created empty and filled is as good as a built one.
use strict;
use warnings;

use HnswTest;
use Test::More;

my $kROWS = 5000;

my $node = hnsw_node('recall', log_statement => 'none', max_wal_size => '1GB');
create_generators($node);
$node->safe_psql('postgres', qq{
    SELECT setseed(0.7);
    CREATE TABLE pool AS SELECT i AS id, (uniform_vector(40) + clustered_vector(40))::vector(40) AS v
        FROM generate_series(1, $kROWS) i;
    ALTER TABLE pool ALTER v TYPE vector(40)});

# Blocks of the index that a query reads, on average.
sub blocks_read {
    my ($table, $index, $operator, $ef) = @_;
    my $read = q{SELECT idx_blks_read + idx_blks_hit FROM pg_statio_all_indexes WHERE indexrelname = '} . $index . q{'};
    my ($before, $after) = split /\n/, $node->safe_psql('postgres', qq{
        SET enable_seqscan = off; SET enable_sort = off; SET hnsw.ef_search = $ef;
        SELECT pg_stat_force_next_flush();
        $read;
        DO \$\$ BEGIN PERFORM (SELECT count(*) FROM questions,
            LATERAL (SELECT id FROM $table ORDER BY v $operator q LIMIT 10) found); END \$\$;
        SELECT pg_stat_force_next_flush();
        $read}) =~ s/^\n//mgr;
    return ($after - $before) / 100;
}

# The floor is what a graph of m = 16 and ef_construction = 64 gives for such data, with a margin.
my %floor = (10 => 0.75, 40 => 0.93, 200 => 0.985);
my %opclass = (l2 => '<->', cosine => '<=>', ip => '<#>', l1 => '<+>');

for my $name (sort keys %opclass) {
    my $operator = $opclass{$name};
    $node->safe_psql('postgres', qq{
        CREATE TABLE built_$name AS SELECT * FROM pool;
        CREATE INDEX built_${name}_v ON built_$name USING hnsw (v vector_${name}_ops);
        CREATE TABLE filled_$name (LIKE pool);
        CREATE INDEX filled_${name}_v ON filled_$name USING hnsw (v vector_${name}_ops);
        INSERT INTO filled_$name SELECT * FROM pool});
    ask_questions($node, "built_$name", $operator, 'uniform_vector(40) + clustered_vector(40)', 100);
    my %blocks;
    for my $ef (sort { $a <=> $b } keys %floor) {
        my %recall = map { $_ => recall($node, "${_}_$name", $operator, $ef) } 'built', 'filled';
        for my $how (sort keys %recall) {
            cmp_ok($recall{$how}, '>=', $floor{$ef}, "$name, $how, ef_search $ef: recall $recall{$how}");
        }
        cmp_ok($recall{filled}, '>=', $recall{built} - 0.01,
            "$name, ef_search $ef: filled row by row finds as much as built at once");
    }
    %blocks = map { $_ => blocks_read("${_}_$name", "${_}_${name}_v", $operator, 40) } 'built', 'filled';
    cmp_ok($blocks{built}, '>', 0, "$name: a query of the built index reads $blocks{built} blocks");
    cmp_ok($blocks{filled}, '<=', 1.15 * $blocks{built}, "$name: of the filled index $blocks{filled}, at most 15 % more");

    for my $how ('built', 'filled') {
        $node->safe_psql('postgres', "DELETE FROM ${how}_$name WHERE id % 2 = 0");
    }
    update_answers($node, "built_$name", $operator);
    for my $how ('built', 'filled') {
        my $dead = recall($node, "${how}_$name", $operator, 40);
        cmp_ok($dead, '>=', $floor{40}, "$name, $how, half the rows dead: recall $dead");
        $node->safe_psql('postgres', "VACUUM ${how}_$name");
        my $vacuumed = recall($node, "${how}_$name", $operator, 40);
        cmp_ok($vacuumed, '>=', $floor{40}, "$name, $how, after VACUUM: recall $vacuumed");
        check_clean($node, "${how}_${name}_v");
    }
}

# The same values in the same order give the same index: also after REINDEX.
my $answers = q{SET enable_seqscan = off; SET enable_sort = off;
    SELECT string_agg(n.id::text, ' ' ORDER BY q.id, d) FROM questions q,
        LATERAL (SELECT id, v <-> q AS d FROM built_l2 ORDER BY v <-> q LIMIT 20) n};
$node->safe_psql('postgres', 'SET max_parallel_maintenance_workers = 0; REINDEX INDEX built_l2_v');
my $once = $node->safe_psql('postgres', $answers);
$node->safe_psql('postgres', 'SET max_parallel_maintenance_workers = 0; REINDEX INDEX built_l2_v');
is($node->safe_psql('postgres', $answers), $once, 'a rebuilt index answers as before');

# LIMIT beyond ef_search is filled; rows come in order; NULLs and zero vectors last.
$node->safe_psql('postgres', q{INSERT INTO built_cosine VALUES (-1, NULL), (-2, array_fill(0, '{40}')::vector)});
my $ordered = $node->safe_psql('postgres', q{SET enable_seqscan = off; SET enable_sort = off; SET hnsw.ef_search = 10;
    SELECT count(*) || ' ' || count(*) FILTER (WHERE d < before) || ' ' || array_to_string((array_agg(id ORDER BY n DESC))[1:2], ',')
    FROM (SELECT id, d, n, lag(d) OVER (ORDER BY n) AS before FROM
        (SELECT id, d, row_number() OVER () AS n FROM
            (SELECT id, v <=> (SELECT v FROM pool WHERE id = 1) AS d FROM built_cosine
                ORDER BY v <=> (SELECT v FROM pool WHERE id = 1) OFFSET 0) a) b) c});
my ($count, $late, $last) = split / /, $ordered;
is($count, $kROWS / 2 + 2, 'without LIMIT every row comes');
cmp_ok($late, '<=', 0.05 * $count, "few of them late ($late)");
is($last, '-1,-2', 'NULL last, before it the zero vector');

log_has_no_fault($node);
done_testing();
