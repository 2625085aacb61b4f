/*
 * Adding a row to an index that others read and change at the same time.
 *
 * Steps, each a commit of its own (docs/wal.md): find the neighbourhood (a search); a node with the
 * same value takes the row as a further TID; else add the upper records, then the base record with
 * its links, then one backlink per neighbour, last the entry point if the node is the new top.  A
 * crash between steps leaves one-way links, which are legal.
 */
#pragma once

#include "core/attributes.h"
#include "core/context.h"
#include "core/index.h"

namespace hnsw::core {

/* Reusable for many rows of one index; keeps its scratch memory. Abandonable. */
class Inserter {
public:
    /* ef_construction: width of the candidate search. */
    Inserter(Index &index, const Context &context, uint32_t ef_construction);
    ~Inserter();

    /* value: dim finite floats, or null for a NULL column. row: the row's attributes, as many as the
     * index has; a row without a vector keeps none. */
    void insert(const float *value, HeapTid tid, const Attributes &row);
    /* Gives a base record that says it has upper layers, but has no upper records yet, its upper
     * records. For the build, before anyone else sees the index. */
    void add_tower(NodeId base);

private:
    struct Impl;
    Impl *impl_;
};

}  // namespace hnsw::core
