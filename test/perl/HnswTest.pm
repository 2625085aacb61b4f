# What the TAP tests have in common: nodes with the extension in them, standbys that have replayed
# everything, and the question whether an index is sound.
#
#   use HnswTest;
#   my $node = hnsw_node('primary', wal_level => 'replica');
#   check_clean($node, 'items_embedding_idx');
package HnswTest;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
    hnsw_node hnsw_standby wait_for_replay check_clean random_vector_sql
    create_generators start_load load_running stop_load kill_server kill_backend revive
    ask_questions update_answers recall index_rows table_rows same_rows uses_index log_has_no_fault
    vacuum_all
);

# A started node with the extension created in database postgres. Further arguments are settings.
# max_wal_senders and wal_level allow a standby; autovacuum is off unless asked for, so that a test
# decides itself when a row goes.
sub hnsw_node {
    my ($name, %settings) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(allows_streaming => 1);
    %settings = (autovacuum => 'off', log_error_verbosity => 'verbose', %settings);
    $node->append_conf('postgresql.conf', "$_ = '$settings{$_}'\n") for sort keys %settings;
    $node->start;
    $node->safe_psql('postgres', 'CREATE EXTENSION hnsw');
    return $node;
}

# A started streaming standby of the node.
sub hnsw_standby {
    my ($primary, $name, %settings) = @_;
    $primary->backup("for_$name");
    my $standby = PostgreSQL::Test::Cluster->new($name);
    $standby->init_from_backup($primary, "for_$name", has_streaming => 1);
    $standby->append_conf('postgresql.conf', "$_ = '$settings{$_}'\n") for sort keys %settings;
    $standby->start;
    return $standby;
}

# Returns when the standby has replayed everything the primary has written so far.
sub wait_for_replay {
    my ($primary, $standby) = @_;
    my $lsn = $primary->safe_psql('postgres', 'SELECT pg_current_wal_insert_lsn()');
    # A record may end in the middle of a page that is not flushed yet.
    $primary->safe_psql('postgres', 'SELECT pg_switch_wal()');
    $standby->poll_query_until('postgres', "SELECT pg_last_wal_replay_lsn() >= '$lsn'")
        or die "the standby did not replay up to $lsn";
    return;
}

# Passes if hnsw_check finds no error in the index; says what it found otherwise. Notes are legal.
sub check_clean {
    my ($node, $index, $database) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $found = $node->safe_psql($database // 'postgres',
        "SELECT * FROM hnsw_check('$index') WHERE severity = 'error' LIMIT 10");
    is($found, '', $node->name . ": $index is sound");
    return;
}

# VACUUM that takes every dead row out. A plain one passes over the heap pages that somebody has pinned
# at the moment - here the background writer, busy in a pool of 128 pages - and leaves their rows, in
# table and index, to the next; one that freezes waits for the pin to go. Returns what it says it did.
sub vacuum_all {
    my ($node, $table) = @_;
    my ($status, undef, $told) = $node->psql('postgres', "VACUUM (FREEZE, VERBOSE) $table");
    die "VACUUM failed: $told" if $status != 0;
    return $told;
}

# SQL for a vector of that many dimensions, drawn anew for every row of the query it stands in.
# $row is a column of that query: without a reference to it PostgreSQL would draw one for all.
sub random_vector_sql {
    my ($dimensions, $row) = @_;
    return "(SELECT array_agg(random() + 0 * $row) FROM generate_series(1, $dimensions))::real[]::vector($dimensions)";
}

# SQL functions that draw vectors; the same after the same setseed(). uniform_vector(n): coordinates
# in [0, 1). clustered_vector(n): near one of 50 places, as real data are.
sub create_generators {
    my ($node) = @_;
    $node->safe_psql('postgres', q{
        CREATE FUNCTION uniform_vector(dimensions integer) RETURNS vector LANGUAGE sql VOLATILE AS $$
            SELECT array_agg(random())::real[]::vector FROM generate_series(1, dimensions) $$;
        CREATE FUNCTION clustered_vector(dimensions integer) RETURNS vector LANGUAGE sql VOLATILE AS $$
            SELECT array_agg(0.4 * random() + sin(place * 12.9898 + i * 78.233))::real[]::vector
            FROM floor(random() * 50) place, generate_series(1, dimensions) i $$});
    return;
}

# ---- load and crashes ---------------------------------------------------------------------------

# Starts pgbench with that many clients, each running one of the scripts after another at random, for
# `seconds` (two minutes unless a crash comes before) or that many `transactions` each; returns a
# handle for the functions below.
sub start_load {
    my ($node, %arguments) = @_;
    my $folder = PostgreSQL::Test::Utils::tempdir();
    my @files;
    for my $script (@{ $arguments{scripts} }) {
        my $file = "$folder/" . scalar(@files) . '.sql';
        PostgreSQL::Test::Utils::append_to_file($file, $script);
        push @files, '-f', $file;
    }
    my %load = (out => '', node => $node);
    local %ENV = $node->_get_env(PGOPTIONS => '-c log_statement=none');
    $load{run} = IPC::Run::start(
        [   'pgbench', '-n', '-c', $arguments{clients},
            $arguments{transactions} ? ('-t', $arguments{transactions}) : ('-T', $arguments{seconds} // 120),
            '--random-seed', $arguments{seed} // 1, @files, 'postgres'
        ],
        '<', \undef, '>&', \$load{out});
    return \%load;
}

sub load_running {
    my ($load) = @_;
    eval { $load->{run}->pump_nb };
    return $load->{run}->pumpable;
}

# Waits for the end of the load (which a crash of the server brings about) and returns pgbench's
# exit status; its output is in $load->{out}.
sub stop_load {
    my ($load) = @_;
    eval { $load->{run}->finish; 1 } or diag("pgbench: $@");
    return $load->{run}->full_result(0);
}

# Processes whose parent is that one and which still run: a zombie holds nothing any more.
sub children_of {
    my ($parent) = @_;
    my @children;
    for my $stat (glob('/proc/[0-9]*/stat')) {
        open(my $file, '<', $stat) or next;
        my $line = <$file> // '';
        push @children, $1 if $line =~ /^(\d+) \(.*\) ([^Z]) (\d+)/ && $3 == $parent;
    }
    return @children;
}

sub is_running {
    my ($pid) = @_;
    open(my $file, '<', "/proc/$pid/stat") or return 0;
    return (<$file> // '') =~ /^\d+ \(.*\) [^ZX] /;
}

# kill -9 of the whole server at once. The next $node->start recovers.
sub kill_server {
    my ($node) = @_;
    my $postmaster = $node->{_pid};
    kill 'STOP', $postmaster;
    my @children = children_of($postmaster);
    kill 'KILL', @children;
    $node->kill9;
    # The next postmaster asks whether the number of the old one is in use, be it by a zombie.
    for (1 .. 600) {
        return unless kill(0, $postmaster) || grep { is_running($_) } @children;
        select(undef, undef, undef, 0.05);
    }
    die 'processes of ' . $node->name . ' outlive kill -9';
}

# kill -9 of one backend: the server (restart_after_crash = on) drops all others and recovers.
sub kill_backend {
    my ($node) = @_;
    my $pid = $node->safe_psql('postgres', q{
        SELECT pid FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND state = 'active' AND pid <> pg_backend_pid()
        ORDER BY pid LIMIT 1});
    kill 'KILL', $pid if $pid ne '';
    return $pid ne '';
}

# Returns when the server takes connections (again).
sub revive {
    my ($node) = @_;
    $node->start unless defined $node->{_pid};
    for (1 .. 600) {
        my ($status) = $node->psql('postgres', 'SELECT 1');
        return if $status == 0;
        select(undef, undef, undef, 0.1);
    }
    die $node->name . ' does not come back';
}

# Passes if the server's log since $offset holds no crash, no failed assertion, nothing internal.
sub log_has_no_fault {
    my ($node, $offset, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $log = substr(PostgreSQL::Test::Utils::slurp_file($node->logfile), $offset // 0);
    my @faults = grep { /PANIC|TRAP:|terminated by signal (?!9:)|XX000|XX001|XX002|is corrupted/ } split /\n/, $log;
    is(join("\n", @faults[0 .. ($#faults < 9 ? $#faults : 9)]), '', $name // 'the log tells of no fault');
    return;
}

# ---- answers ------------------------------------------------------------------------------------

# Settings under which a query ordered by distance takes the index, or never does.
my $by_index = 'SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off;';
my $by_table = 'SET enable_indexscan = off;';

sub uses_index {
    my ($node, $query) = @_;
    my $plan = $node->safe_psql('postgres', "$by_index EXPLAIN (COSTS OFF) $query");
    return $plan =~ /Index Scan using/;
}

# Makes table `questions` of vectors and, in `kth`, the distance of the tenth nearest row of
# $table to each, found without an index. $question is SQL that draws one.
sub ask_questions {
    my ($node, $table, $operator, $question, $count) = @_;
    $node->safe_psql('postgres', qq{
        SELECT setseed(0.75);
        DROP TABLE IF EXISTS questions;
        CREATE TABLE questions AS SELECT i AS id, $question AS q, NULL::float8 AS kth
            FROM generate_series(1, $count) i});
    update_answers($node, $table, $operator);
    return;
}

sub update_answers {
    my ($node, $table, $operator) = @_;
    $node->safe_psql('postgres', qq{$by_table
        UPDATE questions SET kth = (SELECT max(d) FROM
            (SELECT v $operator q AS d FROM $table ORDER BY v $operator q LIMIT 10) nearest)});
    return;
}

# Share of the ten nearest rows that the index finds, over all questions; by distance, so that
# equally near rows count the same. Fresh answers first where rows have changed.
sub recall {
    my ($node, $table, $operator, $ef) = @_;
    my $nearest = "SELECT v $operator q AS d FROM $table ORDER BY v $operator q LIMIT 10";
    die "not by the index: $nearest"
        unless uses_index($node, "SELECT * FROM questions, LATERAL ($nearest) found");
    return $node->safe_psql('postgres', qq{$by_index SET hnsw.ef_search = $ef;
        SELECT round(count(*) FILTER (WHERE d <= kth) / (10.0 * count(DISTINCT id)), 4)
        FROM questions, LATERAL ($nearest) found});
}

# How many rows, how many different ones, and a digest of which, by the index and by the table.
# Column id names a row, column v is indexed.
sub rows_sql {
    my ($table, $order) = @_;
    return qq{SELECT count(*), count(DISTINCT id), md5(string_agg(id::text, ',' ORDER BY id))
        FROM (SELECT id FROM $table $order OFFSET 0) row};
}

sub index_rows {
    my ($node, $table, $operator, $question) = @_;
    my $query = rows_sql($table, "ORDER BY v $operator $question");
    die "not by the index: $query" unless uses_index($node, $query);
    return $node->safe_psql('postgres', "$by_index $query");
}

sub table_rows {
    my ($node, $table) = @_;
    return $node->safe_psql('postgres', "$by_table " . rows_sql($table, ''));
}

# Passes if the index returns every row of the table, once.
sub same_rows {
    my ($node, $table, $operator, $question, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(index_rows($node, $table, $operator, $question),
        table_rows($node, $table), $name // "the index returns all rows of $table");
    return;
}

1;
