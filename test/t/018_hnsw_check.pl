# Pages damaged on disk: hnsw_check names what is wrong, and no statement that meets the damage crashes
# the server. docs/check.md lists the codes.
use strict;
use warnings;

use File::Copy qw(copy);
use HnswTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Offsets of src/core/page.h, meta.h and record.h.
my $kPAGE = 8192;
my $kPAYLOAD = 24;
my $kTRAILER = $kPAGE - 8;    # next u32, kind u16, magic u16
my %kind = (meta => 1, base => 2, upper => 3, part => 4, posting => 5, tid_list => 6, centre => 7);
my %meta = (magic => 0, version => 4, dim => 8, metric => 12, slots => 18, code_bits => 22,
    centre_count => 32, centre => 36, entry_base => 52, entry_upper => 56, entry_level => 60, free_base => 64,
    free_posting => 72, null_rows => 80, null_fill => 84, dense_slots => 100);
my %head = (state => 0, level => 1, count => 2, centre => 3, generation => 4, tid => 8, posting => 16, up => 20,
    down => 24, scale => 28, norm => 32, error => 36, hash => 40);
my $kHEAD = 56;
my $kNONE = 0xFFFFFFFF;

my $node = hnsw_node('check', log_statement => 'none');
create_generators($node);
$node->safe_psql('postgres', q{
    SELECT setseed(0.9);
    CREATE TABLE items (id integer, v vector(64));
    INSERT INTO items SELECT i, clustered_vector(64) FROM generate_series(1, 1500) i;
    INSERT INTO items SELECT 2000 + i, v FROM items, generate_series(1, 70) i WHERE id IN (3, 4);
    INSERT INTO items VALUES (3001, NULL), (3002, NULL);
    CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 24);
    -- Free slots, some of them on a list.
    DELETE FROM items WHERE id BETWEEN 400 AND 500;
    VACUUM (FREEZE) items;
    SELECT pg_current_xact_id();
    VACUUM (FREEZE) items;
    CREATE TABLE wide (id integer, v vector(9000));
    CREATE INDEX wide_v ON wide USING hnsw (v vector_l2_ops);
    INSERT INTO wide SELECT i, uniform_vector(9000) FROM generate_series(1, 40) i;
    CREATE TABLE spare (LIKE items)});
is($node->safe_psql('postgres', "SELECT * FROM hnsw_check('$_') WHERE severity <> 'note'"), '', "$_ is sound to begin with")
    for 'items_v', 'wide_v';

my %path = map { $_ => $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_')") }
    qw(items items_v wide wide_v);
my %heap = map { $_ => $path{$_} =~ s/.*\///r } 'items', 'wide';
$node->stop;
my $pristine = PostgreSQL::Test::Utils::tempdir();
my %file = map { my $table = $_; map { $_ => "$pristine/$table" . (/($path{$table})(.*)/ ? $2 : '') } glob("$path{$table} $path{$table}_*") } keys %path;
copy($_, $file{$_}) or die "$_: $!" for keys %file;

# ---- reading and writing an index file ---------------------------------------------------------

my $image;      # the index file that is being damaged
my %layout;     # of its records, by class

sub u16 { return unpack('S', substr($image, $_[0], 2)) }
sub u32 { return unpack('L', substr($image, $_[0], 4)) }
sub put { my ($at, $template, @values) = @_; my $bytes = pack($template, @values); substr($image, $at, length $bytes) = $bytes; return }
sub blocks { return length($image) / $kPAGE }
sub kind_of { return u16($_[0] * $kPAGE + $kTRAILER + 4) }
sub first_block { my ($kind) = @_; for (1 .. blocks() - 1) { return $_ if kind_of($_) == $kind{$kind} } die "no $kind page" }
sub meta { return $kPAYLOAD + $meta{$_[0]} }
sub trailer { return $_[0] * $kPAGE + $kTRAILER }

sub load {
    my ($index) = @_;
    $image = PostgreSQL::Test::Utils::slurp_file($file{ $path{$index} });
    my $dimensions = int((u32(meta('dim')) + 63) / 64) * 64;
    my $bits = u16(meta('code_bits'));
    for my $class ('base', 'upper') {
        my $slots = u16(meta('slots'));
        my $ids = $kHEAD + $dimensions;
        my $codes = $ids + 8 * $slots;
        my $bytes = int(($codes + $slots * $bits / 8 + 7) / 8) * 8;
        my $payload = $kPAGE - $kPAYLOAD - 8;
        $layout{$class} = { slots => $slots, ids => $ids, codes => $codes, code_bytes => $bits / 8, bytes => $bytes,
            per_page => $bytes <= $payload ? int($payload / $bytes) : 1 };
    }
    return;
}

# Where a record starts, and which records of a class satisfy a condition on where they start.
sub record {
    my ($class, $id) = @_;
    my $per_page = $layout{$class}{per_page};
    return int($id / $per_page) * $kPAGE + $kPAYLOAD + ($id % $per_page) * $layout{$class}{bytes};
}

sub find_record {
    my ($class, $wanted) = @_;
    my $per_page = $layout{$class}{per_page};
    for my $block (1 .. blocks() - 1) {
        next unless kind_of($block) == $kind{$class};
        for my $id ($block * $per_page .. ($block + 1) * $per_page - 1) {
            my $at = record($class, $id);
            next unless ord(substr($image, $at, 1)) == 1;
            return wantarray ? ($at, $id) : $at if $wanted->($at, $id);
        }
    }
    die "no such $class record";
}

sub level_of { return ord(substr($image, $_[0] + $head{level}, 1)) }
sub count_of { return ord(substr($image, $_[0] + $head{count}, 1)) }
sub link_at { my ($class, $at, $slot) = @_; return $at + $layout{$class}{ids} + 4 * $slot }
sub plain { return find_record('base', sub { level_of($_[0]) == 0 && count_of($_[0]) > 3 && u32($_[0] + $head{posting}) == $kNONE }) }
sub with_chain { return find_record('base', sub { u32($_[0] + $head{posting}) != $kNONE }) }
sub low_upper { return find_record('upper', sub { level_of($_[0]) == 1 && count_of($_[0]) > 1 }) }

# A posting chunk is 176 bytes: owner, generation, next u32; count, unused u16; 26 TIDs of 6 bytes.
sub chunk {
    my ($address) = @_;
    my $per_page = int(($kPAGE - $kPAYLOAD - 8) / 176);
    return int($address / $per_page) * $kPAGE + $kPAYLOAD + ($address % $per_page) * 176;
}

# ---- the damage --------------------------------------------------------------------------------

# Expected code, index, description, what to do to the image. Code '' stands for damage that must be
# survived; 'refused' for damage that hnsw_check itself cannot get past: an error with SQLSTATE XX001 or XX002.
my @damage = (
    [ refused => 'items_v', 'no magic in the metapage', sub { put(meta('magic'), 'L', 7) } ],
    [ refused => 'items_v', 'the metapage overwritten', sub { substr($image, 0, $kPAGE) = "\xAA" x $kPAGE } ],
    [ refused => 'items_v', 'zero dimensions', sub { put(meta('dim'), 'L', 0) } ],
    [ refused => 'items_v', 'other dimensions', sub { put(meta('dim'), 'L', 65) } ],
    [ refused => 'items_v', 'another metric', sub { put(meta('metric'), 'S', 2) } ],
    [ refused => 'items_v', 'an impossible number of slots', sub { put(meta('slots'), 'S', 60000) } ],
    [ refused => 'items_v', 'dense pages of an index that has none', sub { put(meta('dense_slots'), 'L', 3) } ],
    [ refused => 'items_v', 'an impossible number of dense slots', sub { put(meta('dense_slots'), 'L', 60000) } ],
    [ refused => 'items_v', 'too many centres', sub { put(meta('centre_count'), 'L', 1000) } ],
    [ refused => 'items_v', 'an empty file', sub { $image = '' } ],
    [ refused => 'items_v', 'a page whose header PostgreSQL refuses', sub { substr($image, first_block('base') * $kPAGE, $kPAGE) = "\x5C" x $kPAGE } ],
    [ page_kind => 'items_v', 'a page of garbage', sub { substr($image, first_block('base') * $kPAGE + $kPAYLOAD, $kPAGE - $kPAYLOAD) = "\x5C" x ($kPAGE - $kPAYLOAD) } ],
    [ '' => 'items_v', 'records of garbage', sub { substr($image, first_block('base') * $kPAGE + $kPAYLOAD, 8000) = "\x01" x 8000 } ],
    [ '' => 'items_v', 'upper records of garbage', sub { substr($image, first_block('upper') * $kPAGE + $kPAYLOAD, 8000) = "\x01" x 8000 } ],
    [ '' => 'items_v', 'chunks of garbage', sub { substr($image, first_block('posting') * $kPAGE + $kPAYLOAD, 8000) = "\x03" x 8000 } ],
    [ page_kind => 'items_v', 'a page of an unknown kind', sub { put(trailer(first_block('upper')) + 4, 'S', 99) } ],
    [ unused_page => 'items_v', 'a page of zeros', sub { substr($image, first_block('base') * $kPAGE, $kPAGE) = "\0" x $kPAGE } ],
    [ page_header => 'items_v', 'a special space elsewhere', sub { put(first_block('base') * $kPAGE + 12, 'SSS', 24, 8176, 8176) } ],
    [ link_kind => 'items_v', 'a base page that says it is an upper one', sub { put(trailer(first_block('base')) + 4, 'S', $kind{upper}) } ],
    [ entry_point => 'items_v', 'an entry point beyond the end', sub { put(meta('entry_base'), 'L', 123456789) } ],
    [ entry_point => 'items_v', 'an upper entry point that is none', sub { put(meta('entry_upper'), 'L', 3) } ],
    [ entry_point => 'items_v', 'an entry level without a node', sub { put(meta('entry_base'), 'L', $kNONE) } ],
    [ entry_point => 'items_v', 'an entry level too high', sub { put(meta('entry_level'), 'L', 30) } ],
    [ free_list => 'items_v', 'a free list that leaves the index', sub { put(meta('free_base'), 'L', 99999999) } ],
    [ free_list => 'items_v', 'a free list of another kind', sub { put(meta('free_base'), 'L', first_block('upper')) } ],
    [ free_list => 'items_v', 'a free list that runs in a circle', sub {
        my $block = first_block('base');
        put(meta('free_base'), 'L', $block);
        put(trailer($block), 'L', $block) } ],
    [ free_list_lost => 'items_v', 'a free list cut off', sub { put(meta('free_base'), 'L', $kNONE) } ],
    [ tid_list => 'items_v', 'NULL rows on a page of another kind', sub { put(meta('null_rows'), 'L', first_block('base')) } ],
    [ tid_list => 'items_v', 'NULL rows in a circle', sub { my $block = first_block('tid_list'); put(trailer($block), 'L', $block) } ],
    [ tid_list => 'items_v', 'NULL rows filled elsewhere', sub { put(meta('null_fill'), 'L', 77777) } ],
    [ tid_list_count => 'items_v', 'too many NULL rows', sub { put(first_block('tid_list') * $kPAGE + $kPAYLOAD, 'L', 60000) } ],
    [ heap_row_missing => 'items_v', 'no NULL rows', sub { put(first_block('tid_list') * $kPAGE + $kPAYLOAD, 'L', 0) } ],
    [ record_state => 'items_v', 'an unknown state', sub { put(scalar plain(), 'C', 9) } ],
    [ record_level => 'items_v', 'a level that is not the value\'s', sub { put(plain() + $head{level}, 'C', 5) } ],
    [ record_level => 'items_v', 'an upper record of level 0', sub { put(low_upper() + $head{level}, 'C', 0) } ],
    [ record_generation => 'items_v', 'generation 0', sub { put(plain() + $head{generation}, 'L', 0) } ],
    [ record_centre => 'items_v', 'an unknown centre', sub { put(plain() + $head{centre}, 'C', 200) } ],
    [ record_norm => 'items_v', 'a wrong norm', sub { put(plain() + $head{norm}, 'f', 1e6) } ],
    [ record_norm => 'items_v', 'a scale that is no number', sub { put(plain() + $head{scale}, 'L', 0x7FC00000) } ],
    [ record_error => 'items_v', 'an error norm below zero', sub { put(plain() + $head{error}, 'f', -1) } ],
    [ record_error => 'items_v', 'an error norm that is no number', sub { put(plain() + $head{error}, 'L', 0x7FC00000) } ],
    [ deleted_with_rows => 'items_v', 'a deleted node with a row', sub { put(scalar plain(), 'C', 2) } ],
    [ live_without_rows => 'items_v', 'a live node without a row', sub { put(plain() + $head{tid}, 'x6') } ],
    [ heap_row_missing => 'items_v', 'a row forgotten', sub { put(plain() + $head{tid}, 'x6') } ],
    [ heap_row_missing => 'items_v', 'a record freed', sub { put(scalar plain(), 'C', 0) } ],
    [ tid_invalid => 'items_v', 'a line pointer that cannot be', sub { put(plain() + $head{tid} + 4, 'S', 5000) } ],
    [ row_beyond_heap => 'items_v', 'a row beyond the end of the table', sub { put(plain() + $head{tid}, 'L', 8000000) } ],
    [ duplicate_tid => 'items_v', 'a row at two nodes', sub {
        my ($one, $id) = plain();
        my $other = find_record('base', sub { $_[1] != $id && u32($_[0] + $head{posting}) == $kNONE });
        substr($image, $other + $head{tid}, 6) = substr($image, $one + $head{tid}, 6) } ],
    [ link_count => 'items_v', 'more links than slots', sub { put(plain() + $head{count}, 'C', 255) } ],
    [ link_self => 'items_v', 'a link to itself', sub { my ($at, $id) = plain(); put(link_at('base', $at, 0), 'L', $id) } ],
    [ link_duplicate => 'items_v', 'a link twice', sub { my $at = plain(); put(link_at('base', $at, 1), 'L', u32(link_at('base', $at, 0))) } ],
    [ link_range => 'items_v', 'a link beyond the end', sub { my $at = plain(); put(link_at('base', $at, 0), 'L', 1 << 30) } ],
    [ link_kind => 'items_v', 'a link to a page of another kind', sub {
        my $at = plain();
        put(link_at('base', $at, 0), 'L', first_block('upper') * $layout{base}{per_page}) } ],
    [ link_level => 'items_v', 'a link to another layer', sub {
        my $at = low_upper();
        my (undef, $high) = find_record('upper', sub { level_of($_[0]) == 2 });
        put(link_at('upper', $at, 0), 'L', $high) } ],
    [ stale_code => 'items_v', 'a code overwritten', sub { my $at = plain(); put($at + $layout{base}{codes}, 'C*', (0x69) x 8) } ],
    [ stale_code => 'items_v', 'a link moved to another record', sub {
        my ($at, $id) = plain();
        my %taken = map { u32(link_at('base', $at, $_)) => 1 } 0 .. count_of($at) - 1;
        my (undef, $other) = find_record('base', sub { $_[1] > $id + 300 && !$taken{ $_[1] } });
        put(link_at('base', $at, 0), 'L', $other) } ],
    [ stale_code => 'items_v', 'a factor that is no number', sub { my $at = plain(); put(link_at('base', $at, 0) + 4 * $layout{base}{slots}, 'S', 0x7FC0) } ],
    [ tower => 'items_v', 'a record above that is another\'s', sub {
        my $at = find_record('base', sub { level_of($_[0]) == 1 });
        my $above = u32($at + $head{up});
        my (undef, $other) = find_record('upper', sub { level_of($_[0]) == 1 && $_[1] != $above });
        put($at + $head{up}, 'L', $other) } ],
    [ tower => 'items_v', 'a record below that is another\'s', sub { my (undef, $id) = plain(); put(low_upper() + $head{down}, 'L', $id) } ],
    [ posting_chain => 'items_v', 'a chain that leaves the index', sub { put(with_chain() + $head{posting}, 'L', 1 << 30) } ],
    [ posting_chain => 'items_v', 'a chain into a page of another kind', sub {
        put(with_chain() + $head{posting}, 'L', first_block('base') * int(8160 / 176)) } ],
    [ posting_chain => 'items_v', 'a chunk of another node', sub { put(chunk(u32(with_chain() + $head{posting})), 'L', 1) } ],
    [ posting_chain => 'items_v', 'a chain in a circle', sub {
        my $first = u32(with_chain() + $head{posting});
        put(chunk($first) + 8, 'L', $first) } ],
    [ posting_chain => 'items_v', 'a chunk with too many rows', sub { put(chunk(u32(with_chain() + $head{posting})) + 12, 'S', 9999) } ],
    [ heap_row_missing => 'items_v', 'a chain cut off', sub { put(with_chain() + $head{posting}, 'L', $kNONE) } ],
    [ unreachable => 'items_v', 'a node nobody links to', sub {
        my (undef, $lost) = plain();
        find_record('base', sub {
            my $at = $_[0];
            for my $slot (reverse 0 .. count_of($at) - 1) {
                next unless u32(link_at('base', $at, $slot)) == $lost;
                my $last = count_of($at) - 1;
                put(link_at('base', $at, $slot), 'L', u32(link_at('base', $at, $last)));
                put($at + $head{count}, 'C', $last);
            }
            return $_[1] == int(blocks() * $layout{base}{per_page}) - 1 });
        } ],
    [ record_parts => 'wide_v', 'a part of another record', sub { put(first_block('part') * $kPAGE + $kPAYLOAD, 'L', 3) } ],
    [ record_parts => 'wide_v', 'a part of zeros', sub { substr($image, first_block('part') * $kPAGE, $kPAGE) = "\0" x $kPAGE } ],
    [ record_parts => 'wide_v', 'a table of parts that leaves the index', sub {
        my $at = record('base', first_block('base') * $layout{base}{per_page});
        put(first_block('base') * $kPAGE + $kTRAILER - 4, 'L', 1 << 30) } ],
    [ '' => 'items_v', 'the second half of the file gone', sub { $image = substr($image, 0, int(blocks() / 2) * $kPAGE) } ],
    [ '' => 'wide_v', 'the second half of a large index gone', sub { $image = substr($image, 0, int(blocks() / 2) * $kPAGE) } ],
);

# Statements that must end, well or with an error, whatever the page says; one that takes longer than
# the limit fails.
sub statements {
    my ($table) = @_;
    my $dimensions = $table eq 'items' ? 64 : 9000;
    return (
        "SELECT count(*) FROM (SELECT id FROM $table ORDER BY v <-> (SELECT v FROM $table WHERE id = 3) OFFSET 0) a",
        "SELECT id FROM $table ORDER BY v <-> (SELECT v FROM $table WHERE id = 20) LIMIT 5",
        "INSERT INTO $table SELECT 5000 + i, CASE WHEN i % 4 = 0 THEN (SELECT v FROM $table WHERE id = 3)
            ELSE uniform_vector($dimensions) END FROM generate_series(1, 12) i",
        "INSERT INTO $table VALUES (6000, NULL)",
        "DELETE FROM $table WHERE id % 2 = 0",
        "VACUUM $table",
        "SELECT * FROM hnsw_stats('${table}_v')",
        "SELECT count(*) FROM hnsw_check('${table}_v')",
        "VACUUM $table",
    );
}

sub examine {
    my ($expected, $index, $what) = @_;
    my $table = $index =~ s/_v$//r;
    my ($status, $out, $error) = $node->psql('postgres',
        "SET statement_timeout = '60s';\n\\set VERBOSITY verbose\nSELECT DISTINCT code FROM hnsw_check('$index') ORDER BY 1");
    if ($expected eq 'refused') {
        like($error, qr/XX00[12]:/, "$what: hnsw_check refuses the index");
    } elsif ($expected ne '') {
        like("$out\n", qr/^$expected$/m, "$what: $expected") or diag($error);
    }
    ($status, $out, $error) = $node->psql('postgres', join(";\n", "SET enable_seqscan = off", 'SET enable_sort = off',
        "SET statement_timeout = '20s'", statements($table)) . ';', on_error_stop => 0,
        extra_params => [ '-v', 'VERBOSITY=verbose' ]);
    # Corruption may be an error, also the executor's that an order is wrong and the storage manager's
    # that a heap row's block does not exist (whose code is that of whatever file was missed last);
    # anything else is none.
    my @odd = grep { /ERROR:|FATAL:|connection/ && !/ERROR:  XX00[12]:|index returned tuples in wrong order|(?:58P01|XX000): could not open file "base\/\d+\/$heap{$table}\./ } split /\n/, $error;
    push @odd, "psql ended with $status" if $status != 0;
    is(join("\n", @odd), '', "$what: statements end well or with an error that says so");
    return;
}

for my $case (@damage) {
    my ($expected, $index, $what, $damage) = @$case;
    copy($file{$_}, $_) or die "$_: $!" for keys %file;
    load($index);
    my $whole = $image;
    eval { $damage->(); 1 } or do { $image ne $whole or die "$what: $@" };
    isnt($image, $whole, "$what") if $image eq $whole;
    open(my $out, '>:raw', $path{$index}) or die "$path{$index}: $!";
    print $out $image;
    close $out;
    $node->start;
    examine($expected, $index, $what);
    # Whatever it was, REINDEX mends it.
    my $table = $index =~ s/_v$//r;
    my ($status, $text, $error) = $node->psql('postgres', "BEGIN; REINDEX INDEX $index; SELECT DISTINCT code FROM hnsw_check('$index') WHERE severity = 'error'; ROLLBACK");
    is("$status$text$error", '0', "$what: REINDEX mends it");
    $node->stop;
}

my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP:|terminated by signal|server process .* exited with exit code/, 'no server process ended badly');

# ---- who may ask --------------------------------------------------------------------------------

copy($file{$_}, $_) or die "$_: $!" for keys %file;
$node->start;
check_clean($node, $_) for 'items_v', 'wide_v';
$node->safe_psql('postgres', 'CREATE ROLE guest');
my ($status, $out, $error) = $node->psql('postgres', q{SET ROLE guest; SELECT * FROM hnsw_check('items_v')});
like($error, qr/permission denied for function hnsw_check/, 'hnsw_check is not for everyone');
($status, $out, $error) = $node->psql('postgres', q{SET ROLE guest; SELECT * FROM hnsw_stats('items_v')});
like($error, qr/permission denied for table items/, 'hnsw_stats asks for the right to the rows');
for my $relation ('items', 'pg_class_oid_index') {
    ($status, $out, $error) = $node->psql('postgres', "SELECT * FROM hnsw_check('$relation')");
    like($error, qr/"$relation" is not an (hnsw )?index/, "$relation is refused");
}

done_testing();
