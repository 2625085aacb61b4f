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
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(hnsw_node hnsw_standby wait_for_replay check_clean random_vector_sql);

# A started node with the extension created in database postgres. Further arguments are settings.
# max_wal_senders and wal_level allow a standby; autovacuum is off unless asked for, so that a test
# decides itself when a row goes.
sub hnsw_node {
    my ($name, %settings) = @_;
    my $node = PostgreSQL::Test::Cluster->new($name);
    $node->init(allows_streaming => 1);
    %settings = (autovacuum => 'off', %settings);
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
        "SELECT * FROM hnsw_check('$index') WHERE lower(severity) = 'error'");
    is($found, '', $node->name . ": $index is sound");
    return;
}

# SQL for a vector of that many dimensions, drawn anew for every row of the query it stands in.
# $row is a column of that query: without a reference to it PostgreSQL would draw one for all.
sub random_vector_sql {
    my ($dimensions, $row) = @_;
    return "(SELECT array_agg(random() + 0 * $row) FROM generate_series(1, $dimensions))::real[]::vector($dimensions)";
}

1;
