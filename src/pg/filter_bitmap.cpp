// Rows of other indexes. filter_bitmap.h says what for.
#include "pg/filter_bitmap.h"

namespace hnsw::pg {

namespace {

// As MultiExecBitmapIndexScan() does it, but for the bitmap, and with a plain scan: the node's own is of
// the kind that gives bitmaps alone.
void take_rows(BitmapIndexScanState *node, Relation table, IndexScanDesc *scan,
               core::TidSet *rows) {
    if (node->ss.ps.chgParam != nullptr)
        ExecReScan(&node->ss.ps);
    if (node->ss.ps.instrument != nullptr)
        InstrStartNode(node->ss.ps.instrument);
    if (!node->biss_RuntimeKeysReady && node->biss_NumRuntimeKeys != 0)
        ExecReScan(&node->ss.ps);
    if (*scan == nullptr)
        *scan = begin_index_scan(table, node->biss_RelationDesc, node->ss.ps.state->es_snapshot,
                                 scan_counts_of(node), node->biss_NumScanKeys, 0);
    index_rescan(*scan, node->biss_ScanKeys, node->biss_NumScanKeys, nullptr, 0);
    double count = 0;
    while (const ItemPointerData *tid = index_getnext_tid(*scan, ForwardScanDirection)) {
        CHECK_FOR_INTERRUPTS();
        rows->add({ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid)});
        count++;
    }
    if (node->ss.ps.instrument != nullptr)
        InstrStopNode(node->ss.ps.instrument, count);
}

void take_bitmap(PlanState *child, core::TidSet *rows) {
    Node *result = MultiExecProcNode(child);
    if (result == nullptr || !IsA(result, TIDBitmap))
        elog(ERROR, "unrecognized result from subplan");
    auto *bitmap = reinterpret_cast<TIDBitmap *>(result);
    BitmapReader reader(bitmap);
    BitmapReader::Page page;
    while (reader.next(&page)) {
        CHECK_FOR_INTERRUPTS();
        if (page.lossy)
            rows->add_lossy(page.block);
        else
            rows->add(page.block, page.offsets);
    }
    reader.end();
    tbm_free(bitmap);
}

}  // namespace

// A TIDBitmap and its order are of no use for a set, and cost more than the scan of the index.
bool takes_rows_one_by_one(const PlanState *child) {
    if (!IsA(child, BitmapIndexScanState))
        return false;
    const auto *node = reinterpret_cast<const BitmapIndexScanState *>(child);
    return node->biss_NumArrayKeys == 0 && node->biss_RelationDesc->rd_indam->amgettuple != nullptr;
}

void find_rows(PlanState *child, Relation table, BlockNumber blocks, IndexScanDesc *scan,
               core::TidSet *rows) {
    rows->begin(blocks, static_cast<size_t>(work_mem) * 1024);
    if (takes_rows_one_by_one(child))
        take_rows(reinterpret_cast<BitmapIndexScanState *>(child), table, scan, rows);
    else
        take_bitmap(child, rows);
}

}  // namespace hnsw::pg
