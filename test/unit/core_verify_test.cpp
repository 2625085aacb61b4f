/* The checker: clean on sound indexes, and each of its codes provoked by damaging a page. */
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>

#include "core/posting.h"
#include "core/record_io.h"
#include "core_check.h"

namespace hnsw::core::testing {
namespace {

/* An index with everything in it, and ways to get at its pages. */
class Patient {
public:
    explicit Patient(const CreateOptions &options, uint32_t rows) : index(options) {
        Vectors values = clustered(rows, options.dim, 5, 1);
        index.insert(values);
        Vectors copies(100, values[5]);
        index.insert(copies, 10000);
        Inserter inserter(*index.index, index.context, index.ef_construction);
        for (uint64_t row = 20000; row < 20010; row++)
            index.add(inserter, nullptr, row);
        vacuum_cleanup(*index.index, index.context, kVacuumMemory);
        index.index->refresh();
        for (BlockNo block = 0; block < index.store.size(); block++)
            healthy.emplace_back(index.store.raw(block), index.store.raw(block) + kPageSize);
    }

    /* As it was; pages added since become unused. */
    void heal() {
        for (BlockNo block = 0; block < index.store.size(); block++) {
            if (block < healthy.size())
                std::memcpy(index.store.raw(block), healthy[block].data(), kPageSize);
            else
                std::memset(index.store.raw(block), 0, kPageSize);
        }
    }

    RecordImage record(NodeId id) {
        const IndexLayouts &layouts = index.index->layouts();
        const BlockNo block = layouts.block_of(id);
        const RecordLayout &layout = layouts.at(block);
        return {record_in_page(index.store.raw(block), layout, layouts.slot_of(id)), &layout};
    }
    /* The first live record that `fits`. */
    NodeId find(RecordClass cls, const std::function<bool(const RecordView &)> &fits) {
        const IndexLayouts &layouts = index.index->layouts();
        for (BlockNo block = 1; block < index.store.size(); block++)
            for (uint32_t slot = 0; page_kind(index.store.raw(block)) == page_kind_of(cls) &&
                                    slot < layouts.at(block).per_page;
                 slot++) {
                const NodeId id = layouts.id_of(block, slot);
                const RecordView view = record(id).view();
                if (view.head().state == RecordState::kLive && fits(view))
                    return id;
            }
        ADD_FAILURE() << "no such record";
        return 0;
    }
    RecordImage base(const std::function<bool(const RecordView &)> &fits) {
        return record(find(RecordClass::kBase, fits));
    }
    RecordImage any_base() {
        return base([](const RecordView &v) { return v.head().level == 0 && v.count() > 3; });
    }
    RecordImage any_upper() {
        return record(find(RecordClass::kUpper, [](const RecordView &v) {
            return v.head().level == 1 && v.count() > 1;
        }));
    }
    NodeId with_chain() {
        return find(RecordClass::kBase,
                    [](const RecordView &v) { return v.head().posting != kNoNode; });
    }
    BlockNo page_of(PageKind kind) {
        for (BlockNo block = 1; block < index.store.size(); block++)
            if (page_kind(index.store.raw(block)) == kind)
                return block;
        ADD_FAILURE() << "no page of kind " << static_cast<int>(kind);
        return 0;
    }
    void change_entry(BlockNo page, uint32_t n, const std::function<void(DirectoryEntry &)> &how) {
        const DirectoryShape &shape = index.index->directory();
        DirectoryEntry entry = DirectoryView{payload(index.store.raw(page)), &shape}.entry(n);
        how(entry);
        set_entry(index.store.raw(page), shape, n, entry);
    }
    /* Changes the directory's entry of a node with one row. */
    void spoil(const std::function<void(DirectoryEntry &)> &how) {
        const DirectoryShape &shape = index.index->directory();
        const NodeId id = find(RecordClass::kBase, [](const RecordView &v) {
            return v.head().level == 0 && v.head().posting == kNoNode;
        });
        change_entry(shape.page_of_node(id), shape.entry_of(id), how);
    }
    MetaPage &meta() { return meta_of(index.store.raw(kMetaBlock)); }
    BlockNo add_page(PageKind kind) {
        PageTxn txn(index.store);
        BlockNo block;
        txn.extend(index.index->directory(), kind, &block);
        txn.commit();
        return block;
    }

    TestIndex index;
    std::vector<std::vector<std::byte>> healthy;
};

struct Damage {
    const char *code;
    Severity severity;
    std::function<void(Patient &)> harm;
};

constexpr Severity kError = Severity::kError;
constexpr Severity kWarning = Severity::kWarning;
constexpr Severity kNote = Severity::kNote;

std::vector<Damage> page_damages() {
    return {
        {"page_kind", kError,
         [](Patient &p) { trailer(p.index.store.raw(p.page_of(PageKind::kPosting))).magic = 1; }},
        {"page_header", kError,
         [](Patient &p) { p.index.store.raw(p.page_of(PageKind::kBase))[16] = std::byte{7}; }},
        {"unused_page", kNote,
         [](Patient &p) {
             std::memset(p.index.store.raw(p.add_page(PageKind::kBase)), 0, kPageSize);
         }},
        {"metapage", kError, [](Patient &p) { p.meta().beam_factor = 0; }},
        {"metapage", kError, [](Patient &p) { p.meta().reach = 0.5f; }},
        {"metapage", kError, [](Patient &p) { p.meta().reach = std::nanf(""); }},
        {"metapage", kError, [](Patient &p) { p.meta().descent_width = 0; }},
        {"metapage", kError, [](Patient &p) { p.meta().descent_width = 65; }},
        {"entry_point", kError, [](Patient &p) { p.meta().entry_base = 3; }},
        {"entry_deleted", kNote,
         [](Patient &p) { p.record(p.meta().entry_base).head().state = RecordState::kDeleted; }},
        {"free_list", kError, [](Patient &p) { p.meta().free_base = 1u << 30; }},
        {"free_list_lost", kWarning,
         [](Patient &p) {
             p.meta().free_posting = kNoBlock;
             trailer(p.index.store.raw(p.page_of(PageKind::kPosting))).next = kNoBlock;
         }},
        {"tid_list", kError, [](Patient &p) { p.meta().null_rows.fill = 1u << 30; }},
        {"tid_list_count", kError,
         [](Patient &p) {
             BlockNo block = p.page_of(PageKind::kTidList);
             reinterpret_cast<TidListPage *>(payload(p.index.store.raw(block)))->count = 1u << 20;
         }},
        {"orphan_tid_list", kWarning, [](Patient &p) { p.meta().null_rows = {}; }},
        {"centre", kError,
         [](Patient &p) {
             BlockNo block = p.page_of(PageKind::kCentre);
             *reinterpret_cast<float *>(payload(p.index.store.raw(block))) = NAN;
         }},
        {"orphan_centre", kNote, [](Patient &p) { p.add_page(PageKind::kCentre); }},
        {"orphan_part", kNote, [](Patient &p) { p.add_page(PageKind::kPart); }},
        {"orphan_chunk", kNote,
         [](Patient &p) {
             auto *chunk = chunk_in_page(p.index.store.raw(p.page_of(PageKind::kPosting)), 40);
             chunk->owner = p.with_chain();
             chunk->owner_generation = 1;
         }},
        {"directory_page", kError,
         [](Patient &p) {
             trailer(p.index.store.raw(p.page_of(PageKind::kDirectory))).kind = PageKind::kUpper;
         }},
        {"directory_page", kError,
         [](Patient &p) {
             trailer(p.index.store.raw(p.page_of(PageKind::kCentre))).kind = PageKind::kDirectory;
         }},
        {"directory_entry", kError,
         [](Patient &p) { p.spoil([](DirectoryEntry &e) {
                              e.tid = StoredTid::from({7, 7});
                          }); }},
        {"directory_entry", kError,
         [](Patient &p) { p.spoil([](DirectoryEntry &e) { e.tid = StoredTid{}; }); }},
        {"directory_entry", kError,
         [](Patient &p) {
             p.spoil([](DirectoryEntry &e) { e.tid = StoredTid::from(e.tid.tid(), true); });
         }},
        {"directory_entry", kError,
         [](Patient &p) { p.spoil([](DirectoryEntry &e) { e.flags = 0; }); }},
        {"directory_entry", kError,
         [](Patient &p) { p.spoil([](DirectoryEntry &e) { e.flags |= kEntryMany; }); }},
        {"directory_entry", kError,
         [](Patient &p) { p.spoil([](DirectoryEntry &e) { e.flags |= kEntryTower; }); }},
        {"directory_entry", kError,
         [](Patient &p) { p.spoil([](DirectoryEntry &e) { e.flags |= 1 << 15; }); }},
        {"directory_entry", kError,
         [](Patient &p) {
             p.spoil([](DirectoryEntry &e) {
                 e.flags |= 1 << 2; /* NULL bit of a column it has not */
             });
         }},
        {"directory_entry", kError,
         [](Patient &p) {
             p.spoil([](DirectoryEntry &e) {
                 e.flags |= 1 << 1; /* NULL bit of a column with a key */
             });
         }},
        {"directory_entry", kError,
         [](Patient &p) { /* of the page's own block */
                          p.change_entry(p.page_of(PageKind::kDirectory), 0,
                                         [](DirectoryEntry &e) { e.flags = kEntryUsed; });
         }},
        {"directory_entry", kError,
         [](Patient &p) {
             std::memset(p.index.store.raw(p.page_of(PageKind::kDirectory)), 0, kPageSize);
         }},
        {"posting_chain", kError, [](Patient &p) { p.record(p.with_chain()).head().generation++; }},
        {"duplicate_tid", kError,
         [](Patient &p) {
             RecordImage a = p.any_base();
             p.base([&](const RecordView &v) { return v.bytes != a.bytes; }).head().tid =
                 a.head().tid;
         }},
    };
}

std::vector<Damage> record_damages() {
    return {
        {"record_state", kError,
         [](Patient &p) { p.any_base().head().state = static_cast<RecordState>(9); }},
        {"freed_stamp", kWarning,
         [](Patient &p) {
             RecordHeader &head = p.any_base().head();
             head.state = RecordState::kFree;
             head.freed_at = uint64_t{1} << 60;
         }},
        {"record_level", kError, [](Patient &p) { p.any_base().head().level = 31; }},
        {"record_generation", kError, [](Patient &p) { p.any_base().head().generation = 0; }},
        {"record_centre", kError, [](Patient &p) { p.any_base().head().centre = 200; }},
        {"record_norm", kError, [](Patient &p) { p.any_base().head().norm += 1; }},
        {"record_error", kError,
         [](Patient &p) {
             RecordHeader &head = p.any_base().head();
             head.error = head.scale * 1000;
         }},
        {"deleted_with_rows", kError,
         [](Patient &p) { p.any_base().head().state = RecordState::kDeleted; }},
        {"live_without_rows", kError,
         [](Patient &p) { p.any_base().head().tid = StoredTid::from({}); }},
        {"tid_invalid", kError,
         [](Patient &p) {
             p.any_base().head().tid = StoredTid::from({1, 5000});
         }},
        {"tower", kError, [](Patient &p) { p.any_upper().head().down++; }},
        {"short_tower", kNote,
         [](Patient &p) {
             p.base([](const RecordView &v) { return v.head().up != kNoNode; }).head().up = kNoNode;
         }},
        {"orphan_upper", kNote,
         [](Patient &p) {
             p.base([](const RecordView &v) { return v.head().up != kNoNode; }).head().up = kNoNode;
         }},
        {"link_count", kError, [](Patient &p) { p.any_base().head().count = 255; }},
        {"link_self", kError,
         [](Patient &p) {
             NodeId id =
                 p.find(RecordClass::kBase, [](const RecordView &v) { return v.count() > 2; });
             p.record(id).ids()[1] = id;
         }},
        {"link_duplicate", kError,
         [](Patient &p) {
             RecordImage record = p.any_base();
             record.ids()[1] = record.ids()[0];
         }},
        {"link_range", kError, [](Patient &p) { p.any_base().ids()[1] = 0xFFFFFFF0u; }},
        {"link_kind", kError,
         [](Patient &p) {
             p.any_base().ids()[1] = 2; /* metapage */
         }},
        {"link_level", kError,
         [](Patient &p) {
             NodeId high = p.find(RecordClass::kUpper,
                                  [](const RecordView &v) { return v.head().level == 2; });
             p.any_upper().ids()[0] = high;
         }},
        {"link_stale", kNote,
         [](Patient &p) {
             NodeId target = p.any_base().ids()[0];
             p.record(target).head().state = RecordState::kFree;
         }},
        {"stale_code", kError,
         [](Patient &p) { /* as if each slot had been filled again with the other's record */
                          RecordImage record = p.any_base();
                          std::swap(record.ids()[0], record.ids()[1]);
         }},
        {"unreachable", kWarning,
         [](Patient &p) {
             NodeId lost = p.find(RecordClass::kBase,
                                  [&](const RecordView &v) { return v.head().level == 0; });
             const IndexLayouts &layouts = p.index.index->layouts();
             for (BlockNo block = 1; block < p.index.store.size(); block++)
                 for (uint32_t slot = 0; page_kind(p.index.store.raw(block)) == PageKind::kBase &&
                                         slot < layouts.at(block).per_page;
                      slot++) {
                     RecordImage r = p.record(layouts.id_of(block, slot));
                     for (uint32_t i = 0; i < r.view().count(); i++)
                         if (r.ids()[i] == lost) {
                             r.head().count = static_cast<uint8_t>(i);
                             break;
                         }
                 }
         }},
    };
}

std::vector<Damage> part_damages() {
    return {{"record_parts", kError, [](Patient &p) {
                 part_header(p.index.store.raw(p.page_of(PageKind::kPart))).generation++;
             }}};
}

void expect_each(Patient &patient, const std::vector<Damage> &damages) {
    Findings before = check(patient.index);
    ASSERT_EQ(before.errors, 0) << before.text;
    ASSERT_EQ(before.warnings, 0) << before.text;
    for (const Damage &damage : damages) {
        patient.heal();
        EXPECT_EQ(check(patient.index).codes.count(damage.code), 0u) << damage.code;
        patient.heal();
        damage.harm(patient);
        Findings findings = check(patient.index);
        EXPECT_GE(findings.codes.count(damage.code), 1u) << damage.code << "\n" << findings.text;
        EXPECT_EQ(findings.severity[damage.code], damage.severity) << damage.code;
    }
}

const CreateOptions kSmall = {.dim = 24, .m = 4, .ef_construction = 32, .attributes = 2};

TEST(Verify, FindsDamagedPages) {
    Patient patient(kSmall, 600);
    expect_each(patient, page_damages());
}

TEST(Verify, FindsDamagedRecords) {
    Patient patient(kSmall, 600);
    expect_each(patient, record_damages());
}

TEST(Verify, FindsLinksPastTheRecordsOfAPage) {
    Patient patient({.dim = 384, .attributes = 2}, 300);
    const IndexLayouts &layouts = patient.index.index->layouts();
    ASSERT_TRUE(layouts.has_dense());
    expect_each(patient, {{"link_range", kError,
                           [&](Patient &p) { /* past the records of a usual page */
                                             const NodeId id = p.find(
                                                 RecordClass::kBase, [](const RecordView &v) {
                                                     return v.count() > 2 && v.layout->slots == 28;
                                                 });
                                             p.record(id).ids()[1] = layouts.id_of(
                                                 layouts.block_of(id), layouts.usual.per_page);
                           }}});
}

TEST(Verify, FindsDamagedParts) {
    Patient patient({.dim = 700, .m = 100, .ef_construction = 200}, 40);
    expect_each(patient, part_damages());
}

/* docs/check.md lists exactly the codes that are provoked above. */
TEST(Verify, CodesAreDocumented) {
    const auto file = std::filesystem::path(__FILE__).parent_path() / "../../docs/check.md";
    std::ifstream in(file);
    ASSERT_TRUE(in) << file;
    std::set<std::string> documented;
    const std::regex row("^\\| `([a-z_]+)` \\| (error|warning|note) \\|");
    std::smatch match;
    std::map<std::string, std::string> severity;
    /* What follows that heading is hnsw_check()'s own. */
    for (std::string line; std::getline(in, line) && line != "## Comparison with the heap";)
        if (std::regex_search(line, match, row))
            severity[match[1]] = match[2];
    std::map<std::string, std::string> provoked;
    const char *names[] = {"error", "warning", "note"};
    for (const auto &list : {page_damages(), record_damages(), part_damages()})
        for (const Damage &damage : list)
            provoked[damage.code] = names[static_cast<int>(damage.severity)];
    EXPECT_EQ(severity, provoked);
}

/* Random bytes in random places: findings, maybe, but no crash and no endless loop. */
class VerifyGarbage : public ::testing::TestWithParam<CreateOptions> {};

TEST_P(VerifyGarbage, IsSurvived) {
    Patient patient(GetParam(), 300);
    std::mt19937_64 rng(11);
    for (int n = 0; n < 300; n++) {
        patient.heal();
        for (int i = 0; i < 20; i++) {
            const auto block = static_cast<BlockNo>(1 + rng() % (patient.index.store.size() - 1));
            std::byte *page = patient.index.store.raw(block);
            const size_t at = rng() % 4 == 0 ? kPageSize - 1 - rng() % 8
                                             : kPageHeaderBytes + rng() % kPayloadBytes;
            page[at] = static_cast<std::byte>(rng());
        }
        Findings findings = check(patient.index);
        EXPECT_GE(findings.rows.size(), 1u);
    }
}

INSTANTIATE_TEST_SUITE_P(Pages, VerifyGarbage,
                         ::testing::Values(kSmall, CreateOptions{.dim = 384, .attributes = 2}));

}  // namespace
}  // namespace hnsw::core::testing
