"""The rounds: every side in turn, each index built anew, everything into Results."""

import itertools
import random
import threading
from contextlib import contextmanager

from . import libraries
from .recall import RECALLS
from .server import cost_of

WITH_INDEX = {"enable_seqscan": "off"}
WITHOUT_INDEX = {"enable_indexscan": "off"}
ENOUGH = 0.997  # recall beyond which no larger ef is tried
EXACT_QUERIES = 20
FIRST_QUERIES = 5  # of a round, each where nothing is cached
CLIENT_SECONDS = 4

BLOCKS = """
    SELECT i.idx_blks_hit + i.idx_blks_read,
           t.heap_blks_hit + t.heap_blks_read,
           coalesce(t.toast_blks_hit + t.toast_blks_read + t.tidx_blks_hit + t.tidx_blks_read, 0)
    FROM pg_statio_user_indexes i JOIN pg_statio_user_tables t USING (relid)
    WHERE i.indexrelname = 'items_embedding'"""

INDEX_BLOCKS_READ = """
    SELECT idx_blks_read FROM pg_statio_user_indexes WHERE indexrelname = 'items_embedding'"""

CHANGE = """
    WITH gone AS (DELETE FROM items WHERE id %% 200 = %s RETURNING *)
    INSERT INTO items SELECT * FROM gone"""


def blocks(server):
    """Blocks of the index, the heap and TOAST that were asked for so far."""
    server.run("SELECT pg_stat_force_next_flush()")
    return server.run(BLOCKS).fetchone()


def index_blocks_read(server):
    """Blocks of the index that were not in shared buffers, so far."""
    server.run("SELECT pg_stat_force_next_flush()")
    return server.value(INDEX_BLOCKS_READ)


def text_of(vector):
    return "[" + ",".join(map(repr, map(float, vector))) + "]"


@contextmanager
def busy(server):
    """Meanwhile another session deletes, inserts and vacuums."""
    done = threading.Event()

    def change():
        with server.another_session() as session:
            for part in itertools.cycle(range(200)):
                if done.is_set():
                    return
                session.execute(CHANGE, [part])
                session.execute("VACUUM items")

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Rounds:
    """Measures the sides on a dataset."""

    def __init__(self, servers, dataset, truth, results, options):
        self.servers, self.dataset, self.truth = servers, dataset, truth
        self.results, self.options = results, options
        self.efs = {server.name: list(options.efs) for server in servers}

    def run(self, number, found_libraries, without_server):
        """One round, the first of which is number 0."""
        order = self.servers if number % 2 == 0 else self.servers[::-1]
        say(f"{self.dataset.name}, round {number + 1}: CREATE INDEX")
        self.builds(order)
        for server in order:
            self.add(server, "index bytes", server.index_bytes())
            for query in range(number * FIRST_QUERIES, (number + 1) * FIRST_QUERIES):
                self.first_query(server, query)
        say(f"{self.dataset.name}, round {number + 1}: queries")
        for _ in range(self.options.passes):
            for server in order:
                self.sweep(server)
            for library in found_libraries:
                self.sweep_library(library, self.worthwhile_so_far(library.name))
        # What the table says of a recall depends on few efs, and the machine's speed changes from
        # one second to the next.
        for _ in range(self.options.close_passes):
            for server in order:
                self.queries(server, self.deciding(server.name))
            for library in found_libraries:
                self.sweep_library(library, self.deciding(library.name))
        self.sweep_without_server(without_server)
        for server in order:
            self.other_queries(server)
        say(f"{self.dataset.name}, round {number + 1}: DELETE, VACUUM, INSERT")
        for server in order:
            self.upkeep(server)
        say(f"{self.dataset.name}, round {number + 1}: many clients")
        for server in order:
            for clients in (2, 16):
                with busy(server):
                    cost = self.clients(server, clients)
                self.add(server, f"queries/s amid changes, clients: {clients}", cost)

    def add(self, server, what, value, ef=None):
        self.results.add(server.name, what, value, ef)

    def add_cost(self, server, what, cost, ef=None):
        """The processor and wall seconds of one of what was counted."""
        self.add(server, what + ", processor s", cost.cpu / cost.count, ef)
        self.add(server, what + ", wall s", cost.wall / cost.count, ef)

    # ----------------------------------------------------------------------------- building

    def builds(self, order):
        """Every kind of build twice, first in that order and then in the opposite one: builds that are
        compared are never minutes apart, and a machine that slows down slows both sides."""
        for server in order:
            server.load(self.dataset)
        for kind in (self.build_with_worker, self.build_alone):
            for server in (*order, *order[::-1]):
                kind(server)

    def build_with_worker(self, server):
        self.build(server, "one worker", max_parallel_maintenance_workers=1)

    def build_alone(self, server):
        """Last the one that queries are measured on."""
        if server.is_ours:
            memory = max(server.index_bytes() // 4096, 1024)
            self.build(
                server,
                "a quarter of the memory",
                max_parallel_maintenance_workers=0,
                maintenance_work_mem=f"{memory}kB",
            )
        self.build(server, "serial", max_parallel_maintenance_workers=0)

    def build(self, server, what, **settings):
        cost = server.create_index(self.dataset, self.options, **settings)
        self.add_cost(server, f"CREATE INDEX, {what}", cost)

    def first_query(self, server, number):
        """Index blocks read for query `number` where nothing is in shared buffers: in a copy of the
        database of its own."""
        copy = server.database + "_copy"
        query = text_of(self.dataset.queries[number % len(self.dataset.queries)])
        with server.elsewhere(copy):
            for name, value in WITH_INDEX.items():
                server.run(f"SET {name} = {value}")
            before = index_blocks_read(server)
            server.run(server.nearest(self.dataset, "%s"), [query])
            read = index_blocks_read(server) - before
            self.add(server, "index blocks of the first query", read)

    # ------------------------------------------------------------------------------ queries

    def sweep(self, server):
        self.queries(server, self.efs[server.name])
        self.efs[server.name] = self.worthwhile(server.name, self.efs[server.name])

    def queries(self, server, efs):
        sweep = "hnsw.ef_search=" + ",".join(map(str, efs))
        limit = str(self.options.queries)
        entries = server.search(
            self.dataset,
            WITH_INDEX,
            "--ids",
            "--seconds",
            str(libraries.LEAST_SECONDS),
            "--queries",
            limit,
            "--sweep",
            sweep,
        )
        for entry in entries:
            ef = entry["value"]
            self.add_cost(server, "query", cost_of(entry), ef)
            self.add(server, "recall", self.truth.recall(entry["ids"]), ef)

    def worthwhile(self, side, efs):
        """Without the efs beyond the first that finds nearly all."""
        for position, ef in enumerate(efs):
            if self.results.median(side, "recall", ef) >= ENOUGH:
                return efs[: position + 1]
        return efs

    def deciding(self, side):
        """The efs on both sides of each recall that the table asks about."""
        efs = self.results.efs(side)
        found = set()
        for target in RECALLS:
            above = [ef for ef in efs if self.results.median(side, "recall", ef) >= target]
            if above:
                found.update(efs[max(efs.index(above[0]) - 1, 0) : efs.index(above[0]) + 1])
        return sorted(found)

    def sweep_library(self, library, efs):
        for point in libraries.sweep(library, self.truth, efs):
            self.results.add(library.name, "query, processor s", point.cost, point.ef)
            self.results.add(library.name, "recall", point.recall, point.ef)

    def sweep_without_server(self, core):
        for point, records in core.sweep(self.worthwhile_so_far(core.name)):
            self.results.add(core.name, "query, processor s", point.cost, point.ef)
            self.results.add(core.name, "recall", point.recall, point.ef)
            self.results.add(core.name, "records", records, point.ef)

    def worthwhile_so_far(self, side):
        known = self.results.efs(side)
        return self.worthwhile(side, known) if known else self.options.efs

    def query_blocks(self, server):
        queries = self.dataset.queries[: self.options.block_queries]
        for name, value in WITH_INDEX.items():
            server.run(f"SET {name} = {value}")
        statement = server.nearest(self.dataset, "%s")
        for ef in self.efs[server.name]:
            server.run(f"SET hnsw.ef_search = {ef}")
            before = blocks(server)
            for query in queries:
                server.run(statement, [text_of(query)])
            for what, now, then in zip(
                ("index", "heap", "TOAST"), blocks(server), before, strict=True
            ):
                self.add(server, f"{what} blocks of a query", (now - then) / len(queries), ef)
        server.configure()

    def other_queries(self, server):
        """Blocks of a query, exact scans, one client and two."""
        self.query_blocks(server)
        entry = server.search(
            self.dataset, WITHOUT_INDEX, "--ids", "--queries", str(EXACT_QUERIES)
        )[0]
        self.add_cost(server, "exact query", cost_of(entry))
        self.add(server, "exact recall", self.truth.recall(entry["ids"]))

        for clients in (1, 2):
            rate = self.clients(server, clients)
            self.add(server, f"queries/s by the clock, clients: {clients}", rate)

    def clients(self, server, clients):
        """Queries a second, by the clock, of so many clients."""
        cost = server.search_together(self.dataset, WITH_INDEX, clients, CLIENT_SECONDS)
        return cost.count / cost.wall

    # ------------------------------------------------------------------------------- upkeep

    def upkeep(self, server):
        """DELETE and VACUUM of half the rows, INSERT into an index of the first 90 %."""
        doomed = list(range(len(self.dataset.base)))
        random.Random(1).shuffle(doomed)
        server.run("CREATE TEMP TABLE doomed (id int4 PRIMARY KEY)")
        with server.connection.cursor().copy("COPY doomed FROM STDIN") as copy:
            for number in doomed[: len(doomed) // 2]:
                copy.write_row([number])
        delete = server.timed("DELETE FROM items USING doomed WHERE items.id = doomed.id")
        self.add_cost(server, "DELETE of half", delete)
        self.add_cost(server, "VACUUM after it", server.timed("VACUUM items"))
        server.run("DROP TABLE doomed")

        rows = len(self.dataset.base)
        start, third = rows * 9 // 10, rows // 30
        server.load(self.dataset, rows=start)
        server.create_index(self.dataset, self.options, max_parallel_maintenance_workers=1)
        ways = (("single commits", 1, 1), ("100 a transaction", 1, 100), ("two clients", 2, 1))
        for number, (what, clients, batch) in enumerate(ways):
            first = start + number * third
            wal = server.value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
            cost = server.insert(self.dataset, first, first + third, clients, batch)
            wal = server.value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn") - wal
            self.add_cost(server, f"INSERT, {what}", cost)
            self.add(server, f"INSERT, {what}, WAL bytes", float(wal) / cost.count)


def say(text):
    print(f"    {text}", flush=True)
