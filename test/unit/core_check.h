/*
 * What the tests of VACUUM and of the checker share: findings by code, sets of dead rows, all rows
 * of an index by scan and by checker.
 */
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "core/vacuum.h"
#include "core/verify.h"
#include "core_attributes.h"
#include "core_fixture.h"

namespace hnsw::core::testing {

class DeadSet final : public DeadRows {
public:
    bool is_dead(HeapTid tid) override { return rows.count(row_of(tid)) != 0; }
    std::set<uint64_t> rows;
};

class Findings final : public FindingSink {
public:
    void report(const Finding &finding) override {
        codes[finding.code]++;
        severity[finding.code] = finding.severity;
        if (finding.severity == Severity::kError)
            errors++;
        if (finding.severity == Severity::kWarning)
            warnings++;
        if (finding.severity != Severity::kNote && text.size() < 2000)
            text += std::string(finding.code) + " block " + std::to_string(finding.block) +
                    " node " + std::to_string(finding.node) + ": " + finding.detail + "\n";
    }
    void row(HeapTid tid, const Attributes *) override { rows.insert(row_of(tid)); }

    std::map<std::string, int> codes;
    std::map<std::string, Severity> severity;
    std::multiset<uint64_t> rows;
    std::string text;
    int errors = 0;
    int warnings = 0;
};

inline Findings check(TestIndex &index) {
    Findings findings;
    verify(*index.index, index.context, findings);
    return findings;
}

constexpr size_t kVacuumMemory = size_t{64} << 20;

inline VacuumResult vacuum(TestIndex &index, DeadSet &dead) {
    return remove_dead(*index.index, index.context, kVacuumMemory, dead);
}

/* All rows a scan returns, each once. */
inline std::set<uint64_t> all_rows(TestIndex &index, const std::vector<float> &query,
                                   uint32_t ef = 20) {
    VectorSorter sorter;
    Scan scan(*index.index, index.context, sorter);
    scan.begin(query.data(), {.ef = ef});
    std::set<uint64_t> found;
    ScanRow row;
    while (scan.next(&row))
        EXPECT_TRUE(found.insert(row_of(row.tid)).second) << "row twice";
    return found;
}

/* No error, and exactly these rows by scan and by checker.  Nothing unreachable either, unless rows
 * were inserted since VACUUM: an insert may take a node's last link away. */
inline void expect_sound(TestIndex &index, const std::set<uint64_t> &rows,
                         const std::vector<float> &query, bool inserted_since = false) {
    Findings findings = check(index);
    EXPECT_EQ(findings.errors, 0) << findings.text;
    const int unreachable = inserted_since ? findings.codes["unreachable"] : 0;
    EXPECT_EQ(findings.warnings - unreachable, 0) << findings.text;
    EXPECT_EQ(std::set<uint64_t>(findings.rows.begin(), findings.rows.end()), rows);
    EXPECT_EQ(findings.rows.size(), rows.size());
    EXPECT_EQ(all_rows(index, query), rows);
    expect_attributes(index);
}

}  // namespace hnsw::core::testing
