"""One server with a type vector and an access method hnsw: ours, or the peer's."""

import json
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psycopg
from psycopg import sql

from . import datasets

OPERATORS = {
    "l2": ("<->", "vector_l2_ops"),
    "cosine": ("<=>", "vector_cosine_ops"),
}
# What every measured session says, on both sides alike.
SETTINGS = {
    "jit": "off",
    "synchronous_commit": "off",
    "maintenance_work_mem": "2GB",
    "max_parallel_workers_per_gather": "0",
    "client_min_messages": "warning",
}


@dataclass
class Cost:
    """What a statement took: seconds by the clock, processor seconds of client and server."""

    count: int
    wall: float
    cpu: float


@dataclass
class Side:
    """A statement with a vector as $1, and the settings of the session that sends it."""

    name: str
    server: "Server"
    statement: str
    settings: dict[str, str]


class Clock:
    """Processor time of a server's process: the clock that clock_getcpuclockid(3) gives."""

    def __init__(self, pid):
        self.id = ~pid << 3 | 2

    def seconds(self):
        return time.clock_gettime(self.id)


def _ended_children(pid):
    """Processor seconds of the ended children of a process, such as parallel workers."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / 100


def _parent(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(")", 1)[1].split()[1])


def common_processor(servers):
    """A processor that a client may share with its backend on every one of the servers; None if we
    may not say where their processes run."""
    try:
        for server in servers:
            os.sched_setaffinity(server.pid, os.sched_getaffinity(server.pid))
    except (AttributeError, PermissionError):
        return None
    return max(os.sched_getaffinity(0))


class Server:
    """A database of our own on a server, named name in every table and plot."""

    def __init__(self, name, dsn, extension, sqlbench, folder):
        self.name, self.extension = name, extension
        self.is_ours = extension == "hnsw"
        self.processor = None  # where single clients and their backends run
        self.sqlbench, self.folder = sqlbench, folder
        self.admin_dsn = dsn
        self.database = "hnsw_bench"
        self.create_database(self.database)
        self.dsn = psycopg.conninfo.make_conninfo(dsn, dbname=self.database)
        self.connect()
        self.run(f"CREATE EXTENSION {extension}")
        self.version = self.value(
            "SELECT extversion FROM pg_extension WHERE extname = %s", [extension]
        )
        self.server_version = self.value("SHOW server_version").split()[0]

    def create_database(self, name, options=""):
        self.drop_database(name)
        self.administer("CREATE DATABASE {} " + options, name)

    def drop_database(self, name):
        self.administer("DROP DATABASE IF EXISTS {} (FORCE)", name)

    def administer(self, statement, name):
        with psycopg.connect(self.admin_dsn, autocommit=True) as admin:
            admin.execute(sql.SQL(statement).format(sql.Identifier(name)))

    def connect(self):
        """The session of everything that sqlbench does not measure."""
        self.connection = self.another_session()
        self.configure()
        self.pid = self.connection.info.backend_pid
        self.clock = Clock(self.pid)

    def another_session(self):
        return psycopg.connect(self.dsn, autocommit=True, prepare_threshold=0)

    def configure(self):
        """Makes the session what SETTINGS says."""
        self.run("RESET ALL")
        for name, value in SETTINGS.items():
            self.run("SELECT set_config(%s, %s, false)", [name, value])

    @contextmanager
    def elsewhere(self, database):
        """Goes on in a copy of the database, made file by file, not through shared buffers."""
        home = self.dsn
        self.connection.close()
        self.create_database(database, f"TEMPLATE {self.database} STRATEGY file_copy")
        self.dsn = psycopg.conninfo.make_conninfo(home, dbname=database)
        self.connect()
        try:
            yield
        finally:
            self.connection.close()
            self.drop_database(database)
            self.dsn = home
            self.connect()

    def close(self):
        self.connection.close()
        self.drop_database(self.database)

    def run(self, statement, parameters=None):
        return self.connection.execute(statement, parameters)

    def value(self, statement, parameters=None):
        return self.run(statement, parameters).fetchone()[0]

    def timed(self, statement):
        """The Cost of a statement, parallel workers included."""
        postmaster = _parent(self.pid)
        workers, server, wall = _ended_children(postmaster), self.clock.seconds(), time.monotonic()
        self.run(statement)
        wall, server = time.monotonic() - wall, self.clock.seconds() - server
        return Cost(1, wall, server + _ended_children(postmaster) - workers)

    # ------------------------------------------------------------------------------- a dataset

    def load(self, dataset, table="items", rows=None, columns=()):
        """A table of the first rows (id int4, embedding, columns), without an index.

        The columns are attributes of the dataset.
        """
        attributes = [dataset.attributes[name] for name in columns]
        types = ["int4" if values.dtype.kind == "i" else "text" for values in attributes]
        more = "".join(f", {name} {kind}" for name, kind in zip(columns, types, strict=True))
        self.run(f"DROP TABLE IF EXISTS {table}")
        self.run(
            f"CREATE TABLE {table} (id int4 PRIMARY KEY,"
            f" embedding vector({dataset.dimensions}){more}) WITH (autovacuum_enabled = off)"
        )
        fields = (2 + len(columns)).to_bytes(2, "big")
        vectors = dataset.base[:rows].astype(">f4")
        head = np.array([dataset.dimensions, 0], ">i2").tobytes()
        with self.connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            size = (4 + 4 * dataset.dimensions).to_bytes(4, "big")
            for number, vector in enumerate(vectors):
                copy.write(
                    fields + _field(number) + size + head + vector.tobytes()
                    + b"".join(_field(values[number]) for values in attributes)
                )  # fmt: skip
            copy.write(b"\xff\xff")
        self.run(f"VACUUM (FREEZE, ANALYZE) {table}")

    def create_index(self, dataset, parameters, table="items", columns=(), **settings):
        """Builds the index, with those attribute columns, anew and returns its Cost."""
        opclass = OPERATORS[dataset.metric][1]
        self.run(f"DROP INDEX IF EXISTS {table}_embedding")
        for name, value in settings.items():
            self.connection.execute("SELECT set_config(%s, %s, false)", [name, str(value)])
        cost = self.timed(
            f"CREATE INDEX {table}_embedding ON {table} USING hnsw"
            f" ({', '.join([f'embedding {opclass}', *columns])})"
            f" WITH (m = {parameters.m}, ef_construction = {parameters.ef_construction})"
        )
        for name in settings:
            value = SETTINGS.get(name)
            self.run(f"SET {name} = '{value}'" if value else f"RESET {name}")
        return cost

    def index_bytes(self, table="items"):
        return self.value(f"SELECT pg_relation_size('{table}_embedding')")

    def nearest(self, dataset, parameter="$1", table="items", k=10, where=""):
        """The statement that is measured."""
        operator = OPERATORS[dataset.metric][0]
        where = f" WHERE {where}" if where else ""
        return f"SELECT id FROM {table}{where} ORDER BY embedding {operator} {parameter} LIMIT {k}"

    # ------------------------------------------------------------------------------ sqlbench

    def vector_file(self, dataset, role):
        """The queries or rows of a dataset as a file for sqlbench."""
        path = self.folder / f"{dataset.name}-{role}.fvecs"
        if not path.exists():
            datasets.write_vectors(path, getattr(dataset, role))
        return path

    def start(self, mode, dataset, statement, settings, *arguments):
        """A running sqlbench."""
        role = "queries" if mode == "search" else "base"
        command = [self.sqlbench, mode, "--dsn", self.dsn, "--sql", statement]
        command += ["--vectors", str(self.vector_file(dataset, role))]
        for name, value in (SETTINGS | settings).items():
            command += ["--set", f"{name}={value}"]
        return subprocess.Popen(
            [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def measure(self, *arguments):
        return finish(self.start(*arguments))

    def search(self, dataset, settings, *arguments):
        """Queries as sqlbench sends them, one client."""
        statement = self.nearest(dataset)
        return self.measure("search", dataset, statement, settings, *self.beside(), *arguments)

    def beside(self):
        """Arguments that bring a client and its backends to one processor, if so wished."""
        return () if self.processor is None else ("--processor", str(self.processor))

    def compare(self, dataset, sides, *arguments):
        """What each query of the dataset cost and returned on every side, asked in turn."""
        command = [self.sqlbench, "compare", "--vectors", str(self.vector_file(dataset, "queries"))]
        for side in sides:
            command += ["--side", side.name, "--dsn", side.server.dsn, "--sql", side.statement]
            for name, value in (SETTINGS | side.settings).items():
                command += ["--set", f"{name}={value}"]
        command += [*self.beside(), *arguments]
        return finish(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))

    def insert(self, dataset, first, end, clients=1, batch=1):
        """Inserts rows first to end - 1 by that many clients at once, and returns the Cost."""
        edges = np.linspace(first, end, clients + 1).astype(int)
        running = [
            self.start(
                "insert", dataset, "INSERT INTO items VALUES ($1::int4, $2)", {},
                "--wait", "--batch", str(batch), "--from", str(low), "--to", str(high),
            )
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]  # fmt: skip
        return together(running)

    def search_together(self, dataset, settings, clients, seconds):
        """The Cost of the queries that so many clients at once send in so many seconds."""
        arguments = ("--wait", "--seconds", str(seconds))
        running = [
            self.start("search", dataset, self.nearest(dataset), settings, *arguments)
            for _ in range(clients)
        ]
        return together(running)


def _field(value):
    """An int4 or a text as COPY's binary format has it."""
    data = value.encode() if isinstance(value, str) else int(value).to_bytes(4, "big", signed=True)
    return len(data).to_bytes(4, "big") + data


def finish(process):
    """What a sqlbench printed, a list of objects."""
    output = process.communicate()[0]
    if process.returncode != 0:
        raise SystemExit("bench/run: the measuring client failed")
    return json.loads(output)


def together(processes):
    """Lets processes that wait begin at once, and adds up what they did."""
    for process in processes:
        if process.stdout.readline() != "ready\n":
            raise SystemExit("bench/run: the measuring client failed")
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    costs = [cost_of(finish(process)[0]) for process in processes]
    return Cost(sum(c.count for c in costs), max(c.wall for c in costs), sum(c.cpu for c in costs))


def cost_of(entry):
    return Cost(entry["count"], entry["wall"], entry["client"] + entry["server"])
