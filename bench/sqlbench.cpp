/*
 * The measuring client: sends vectors to a server as a fast client would (libpq, a prepared
 * statement, binary parameters and results) and prints what that cost, as JSON on stdout.  An
 * interpreter between the clock and the server would cost as much as the search itself.
 *
 *   sqlbench search --dsn D --vectors F --sql "SELECT id … $1 …" [--set name=value]…
 *                   [--sweep name=v1,v2,…] [--queries N] [--seconds S] [--ids] [--wait]
 *                   [--processor N]
 *   sqlbench insert --dsn D --vectors F --sql "INSERT … $1::int, $2" [--set name=value]…
 *                   --from A --to B [--batch N] [--wait] [--processor N]
 *   sqlbench compare --vectors F [--queries N] [--budget S] [--hopeless X] [--processor N]
 *                   {--side NAME [--dsn D] [--sql "…"] [--set name=value]…}…
 *
 * search sends every query of F (.fvecs) once for each value of the swept setting, or over and over
 * for S seconds; insert sends rows A to B-1 of F, N to a transaction.  Of each value, or of the
 * rows, it prints their number, wall, client and server seconds, and, if asked, the ids (the first
 * column, an int4) that came back.  With --wait it says "ready" when connected and begins at the
 * first line of its input, so that several begin together.  With --processor it runs on that
 * processor alone, and the backends it talks to with it.  compare sends every query to every side,
 * a few in a turn, the sides in random order, each a session of its own, and prints what every single
 * query cost and returned.
 * What stands before the first --side holds for all.  The first side answers all queries.  Another
 * gets no more after kEnoughQueries once it took S seconds of its server, and, if its median is more
 * than X times the first side's, after kLeastQueries that took kLeastSeconds, or kFewestQueries that
 * took S seconds.  The server must run on this machine: its processor time is that of the backend's own
 * clock.  Called by bench/run.
 */
#include <libpq-fe.h>
#include <sched.h>
#include <sys/types.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace {

[[noreturn]] void die(const std::string &message) {
    std::fprintf(stderr, "sqlbench: %s\n", message.c_str());
    std::exit(1);
}

/** What a connection is made of. */
struct Session {
    std::string name, dsn, sql;
    std::vector<std::string> settings;
};

struct Options {
    std::string mode, vectors, sweep;
    Session session;
    std::vector<Session> sides;
    size_t queries = SIZE_MAX, from = 0, to = 0, batch = 1;
    double seconds = 0, budget = 1e9, hopeless = 1e9;
    bool ids = false, wait = false;
    int processor = -1; /* any */
};

constexpr size_t kFewestQueries = 4;
constexpr size_t kLeastQueries = 10;
constexpr double kLeastSeconds = 0.25;
constexpr size_t kEnoughQueries = 60;
// The first executions of a prepared statement are planned one by one. What takes that long need not
// be repeated: planning does not matter there.
constexpr size_t kWarmUp = 6;
constexpr double kWarmUpSeconds = 0.5;
// A query that comes after another side's finds the processor's caches taken, which is a large part of
// a short one: of so many in a row most do not.
constexpr size_t kTurn = 8;

Options parse(int argc, char **argv) {
    Options options;
    if (argc < 2)
        die("usage: sqlbench search|insert|compare --dsn D --vectors F --sql S …");
    options.mode = argv[1];
    for (int i = 2; i < argc; ++i) {
        std::string name = argv[i];
        if (name == "--ids") {
            options.ids = true;
            continue;
        }
        if (name == "--wait") {
            options.wait = true;
            continue;
        }
        if (++i == argc)
            die(name + " needs a value");
        std::string value = argv[i];
        Session &session = options.sides.empty() ? options.session : options.sides.back();
        if (name == "--side") {
            options.sides.push_back(options.session);
            options.sides.back().name = value;
        } else if (name == "--dsn")
            session.dsn = value;
        else if (name == "--vectors")
            options.vectors = value;
        else if (name == "--sql")
            session.sql = value;
        else if (name == "--sweep")
            options.sweep = value;
        else if (name == "--set")
            session.settings.push_back(value);
        else if (name == "--queries")
            options.queries = std::stoul(value);
        else if (name == "--processor")
            options.processor = std::stoi(value);
        else if (name == "--from")
            options.from = std::stoul(value);
        else if (name == "--to")
            options.to = std::stoul(value);
        else if (name == "--batch")
            options.batch = std::max(1ul, std::stoul(value));
        else if (name == "--seconds")
            options.seconds = std::stod(value);
        else if (name == "--budget")
            options.budget = std::stod(value);
        else if (name == "--hopeless")
            options.hopeless = std::stod(value);
        else
            die("unknown option " + name);
    }
    return options;
}

uint32_t big_endian(uint32_t value) {
    return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}

/** Lets a process run on one processor only. */
void pin(pid_t process, int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(processor), &set);
    if (sched_setaffinity(process, sizeof set, &set) != 0)
        die("cannot choose the processor of process " + std::to_string(process));
}

/** The rows of an .fvecs file as binary vector parameters: int16 dimensions, int16 0, floats. */
class Vectors {
public:
    explicit Vectors(const std::string &path) {
        std::ifstream file(path, std::ios::binary);
        uint32_t dimensions = 0;
        std::vector<uint32_t> row;
        while (file.read(reinterpret_cast<char *>(&dimensions), sizeof dimensions)) {
            row.resize(dimensions + 1);
            if (!file.read(reinterpret_cast<char *>(row.data() + 1), dimensions * 4))
                break;
            for (size_t i = 1; i <= dimensions; ++i)
                row[i] = big_endian(row[i]);
            row[0] = big_endian(dimensions << 16);
            rows_.push_back(row);
        }
        if (rows_.empty())
            die("no vectors in " + path);
    }
    [[nodiscard]] size_t size() const { return rows_.size(); }
    [[nodiscard]] const char *data(size_t i) const {
        return reinterpret_cast<const char *>(rows_[i].data());
    }
    [[nodiscard]] int bytes(size_t i) const { return static_cast<int>(rows_[i].size() * 4); }

private:
    std::vector<std::vector<uint32_t>> rows_;
};

double seconds_of(clockid_t clock) {
    timespec now{};
    if (clock_gettime(clock, &now) != 0)
        die("cannot read a processor's clock");
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

/** A connection that ends the program at the first error. */
class Connection {
public:
    Connection(const Session &session, int processor)
        : connection_(PQconnectdb(session.dsn.c_str()), &PQfinish) {
        if (PQstatus(get()) != CONNECTION_OK)
            die(PQerrorMessage(get()));
        if (clock_getcpuclockid(PQbackendPID(get()), &server_clock_) != 0)
            die("the server's processes are not on this machine");
        if (processor >= 0)
            pin(PQbackendPID(get()), processor);
        for (const std::string &setting : session.settings) {
            size_t equals = setting.find('=');
            if (equals == std::string::npos)
                die("--set takes name=value");
            set(setting.substr(0, equals), setting.substr(equals + 1));
        }
        check(PQprepare(get(), "s", session.sql.c_str(), 0, nullptr), PGRES_COMMAND_OK);
    }

    void set(const std::string &name, const std::string &value) {
        const char *values[] = {name.c_str(), value.c_str()};
        check(PQexecParams(get(), "SELECT set_config($1, $2, false)", 2, nullptr, values, nullptr,
                           nullptr, 0),
              PGRES_TUPLES_OK);
    }
    void command(const char *sql) { check(PQexec(get(), sql), PGRES_COMMAND_OK); }

    /** Sends the statement with a vector as its only parameter. */
    Result search(const Vectors &vectors, size_t number) {
        const char *values[] = {vectors.data(number)};
        const int lengths[] = {vectors.bytes(number)};
        return execute(1, values, lengths, PGRES_TUPLES_OK);
    }
    Result execute(int parameters, const char *const *values, const int *lengths,
                   ExecStatusType expected) {
        static constexpr int kBinary[] = {1, 1};
        return check(PQexecPrepared(get(), "s", parameters, values, lengths, kBinary, 1), expected);
    }
    [[nodiscard]] double server_seconds() const { return seconds_of(server_clock_); }

private:
    [[nodiscard]] PGconn *get() const { return connection_.get(); }
    Result check(PGresult *raw, ExecStatusType expected) {
        Result result(raw, &PQclear);
        if (PQresultStatus(raw) != expected)
            die(PQerrorMessage(get()));
        return result;
    }

    std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
    clockid_t server_clock_{};
};

/** The three clocks since it was made. */
class Stopwatch {
public:
    explicit Stopwatch(const Connection &connection)
        : connection_(connection),
          wall_(seconds_of(CLOCK_MONOTONIC)),
          client_(seconds_of(CLOCK_PROCESS_CPUTIME_ID)),
          server_(connection.server_seconds()) {}
    [[nodiscard]] double wall() const { return seconds_of(CLOCK_MONOTONIC) - wall_; }
    /** Members of a JSON object. */
    void print(size_t count) const {
        double wall_now = wall();
        double client = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - client_;
        std::printf("\"count\": %zu, \"wall\": %.6f, \"client\": %.6f, \"server\": %.6f", count,
                    wall_now, client, connection_.server_seconds() - server_);
    }

private:
    const Connection &connection_;
    double wall_, client_, server_;
};

std::vector<std::string> split(const std::string &text) {
    std::vector<std::string> parts;
    for (size_t at = 0; at <= text.size();) {
        size_t end = std::min(text.find(',', at), text.size());
        parts.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

std::vector<uint32_t> ids_of(const Result &result) {
    std::vector<uint32_t> ids;
    for (int row = 0; row < PQntuples(result.get()); ++row) {
        uint32_t id = 0;
        std::memcpy(&id, PQgetvalue(result.get(), row, 0), sizeof id);
        ids.push_back(big_endian(id));
    }
    return ids;
}

void print_ids(const std::vector<std::vector<uint32_t>> &ids) {
    std::printf(", \"ids\": [");
    for (size_t q = 0; q < ids.size(); ++q) {
        std::printf("%s[", q == 0 ? "" : ", ");
        for (size_t i = 0; i < ids[q].size(); ++i) {
            std::printf("%s%u", i == 0 ? "" : ", ", ids[q][i]);
        }
        std::printf("]");
    }
    std::printf("]");
}

/** One value of the swept setting: a few queries to warm up, then the measured ones. */
void search_once(Connection &connection, const Options &options, const Vectors &vectors) {
    size_t queries = std::min(options.queries, vectors.size());
    std::vector<std::vector<uint32_t>> ids(options.ids ? queries : 0);
    for (size_t q = 0; q < std::min<size_t>(queries, kWarmUp); ++q)
        connection.search(vectors, q);

    Stopwatch watch(connection);
    size_t sent = 0;
    do {
        for (size_t q = 0; q < queries; ++q, ++sent) {
            Result result = connection.search(vectors, q);
            if (options.ids && sent < queries)
                ids[q] = ids_of(result);
        }
    } while (watch.wall() < options.seconds);
    watch.print(sent);
    if (options.ids)
        print_ids(ids);
}

void search(Connection &connection, const Options &options, const Vectors &vectors) {
    if (options.sweep.empty()) {
        std::printf("[{");
        search_once(connection, options, vectors);
        std::printf("}]\n");
        return;
    }
    size_t equals = options.sweep.find('=');
    if (equals == std::string::npos)
        die("--sweep takes name=value,value,…");
    const std::string name = options.sweep.substr(0, equals);
    const std::vector<std::string> values = split(options.sweep.substr(equals + 1));
    // Everything cached: that includes what a session remembers from one query to the next.
    connection.set(name, values.front());
    for (size_t q = 0; q < std::min(options.queries, vectors.size()); ++q)
        connection.search(vectors, q);
    const char *before = "[";
    for (const std::string &value : values) {
        connection.set(name, value);
        std::printf("%s{\"value\": %s, ", before, value.c_str());
        search_once(connection, options, vectors);
        std::printf("}");
        before = ",\n ";
    }
    std::printf("]\n");
}

/** One side of a comparison and what it did so far. */
struct Side {
    Connection connection;
    std::vector<std::vector<uint32_t>> ids;
    std::vector<double> client;
    // The server's clock before each query and after the last: a backend goes on for a moment
    // after its answer, so a query lasts until its session's next one begins.
    std::vector<double> server;
    bool given_up = false;

    /** In the middle of its first queries, but for the last one asked: how long that took is not
     *  known before the next. */
    [[nodiscard]] double first_median() const {
        std::vector<double> took;
        for (size_t q = 0; q + 1 < std::min(server.size(), kLeastQueries); ++q)
            took.push_back(client[q] + server[q + 1] - server[q]);
        std::nth_element(took.begin(), took.begin() + took.size() / 2, took.end());
        return took[took.size() / 2];
    }
    [[nodiscard]] bool goes_on(const Side &first, const Options &options) const {
        if (server.size() < kFewestQueries)
            return true;
        const double spent = connection.server_seconds() - server.front();
        const bool over = spent > options.budget;
        const bool told = server.size() >= kLeastQueries && spent > kLeastSeconds;
        if ((over || told) && first_median() > options.hopeless * first.first_median())
            return false;
        return !over || server.size() < kEnoughQueries;
    }
    void ask(const Vectors &vectors, size_t q) {
        server.push_back(connection.server_seconds());
        double client_began = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
        Result result = connection.search(vectors, q);
        client.push_back(seconds_of(CLOCK_PROCESS_CPUTIME_ID) - client_began);
        ids.push_back(ids_of(result));
    }
    void print(const std::string &name) {
        server.push_back(connection.server_seconds());
        std::printf("{\"side\": \"%s\", \"seconds\": [", name.c_str());
        for (size_t q = 0; q < client.size(); ++q)
            std::printf("%s%.7f", q == 0 ? "" : ", ", client[q] + server[q + 1] - server[q]);
        std::printf("]");
        print_ids(ids);
        std::printf("}");
    }
};

void compare(const Options &options, const Vectors &vectors) {
    std::vector<Side> sides;
    size_t queries = std::min(options.queries, vectors.size());
    for (const Session &session : options.sides) {
        Side &side = sides.emplace_back(Side{Connection(session, options.processor), {}, {}, {}});
        double began = side.connection.server_seconds();
        for (size_t q = 0; q < std::min(queries, kWarmUp); ++q)
            if (side.connection.server_seconds() - began < kWarmUpSeconds)
                side.connection.search(vectors, q);
    }
    // In changing order: whoever comes second finds the rows in the processor's caches.
    std::mt19937 random(1);
    std::vector<size_t> order(sides.size());
    std::iota(order.begin(), order.end(), 0);
    for (size_t begin = 0; begin < queries; begin += kTurn) {
        // The others are judged by what the first has taken.
        if (begin > 0)
            std::shuffle(order.begin(), order.end(), random);
        for (size_t i : order)
            for (size_t q = begin; q < std::min(begin + kTurn, queries) && !sides[i].given_up;
                 ++q) {
                // Once and for all: it has answered the first so many queries then.
                sides[i].given_up = i != 0 && !sides[i].goes_on(sides[0], options);
                if (!sides[i].given_up)
                    sides[i].ask(vectors, q);
            }
    }
    const char *before = "[";
    for (size_t i = 0; i < sides.size(); ++i) {
        std::printf("%s", before);
        sides[i].print(options.sides[i].name);
        before = ",\n ";
    }
    std::printf("]\n");
}

void insert(Connection &connection, const Options &options, const Vectors &vectors) {
    size_t end = std::min(options.to, vectors.size());
    if (options.from >= end)
        die("no rows to insert");
    Stopwatch watch(connection);
    for (size_t row = options.from; row < end; ++row) {
        bool grouped = options.batch > 1;
        if (grouped && (row - options.from) % options.batch == 0)
            connection.command("BEGIN");
        uint32_t id = big_endian(static_cast<uint32_t>(row));
        const char *values[] = {reinterpret_cast<const char *>(&id), vectors.data(row)};
        const int lengths[] = {sizeof id, vectors.bytes(row)};
        connection.execute(2, values, lengths, PGRES_COMMAND_OK);
        if (grouped && ((row + 1 - options.from) % options.batch == 0 || row + 1 == end))
            connection.command("COMMIT");
    }
    std::printf("[{");
    watch.print(end - options.from);
    std::printf("}]\n");
}

}  // namespace

int main(int argc, char **argv) {
    Options options = parse(argc, argv);
    Vectors vectors(options.vectors);
    if (options.processor >= 0)
        pin(0, options.processor);
    if (options.mode == "compare") {
        if (options.sides.empty())
            die("compare needs a --side");
        compare(options, vectors);
        return 0;
    }
    Connection connection(options.session, options.processor);
    if (options.wait) {
        std::puts("ready");
        std::fflush(stdout);
        if (std::getchar() == EOF)
            return 0;
    }
    if (options.mode == "search")
        search(connection, options, vectors);
    else if (options.mode == "insert")
        insert(connection, options, vectors);
    else
        die("there is no mode " + options.mode);
}
