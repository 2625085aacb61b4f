// Differences between PostgreSQL 15, 16, 17 and 18: the only file that looks at the version.
// Included by pg/pg.h after the server's headers; include that instead.
#pragma once

#ifndef POSTGRES_H
#include "pg/pg.h"
#endif

extern "C" {
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif
}

// 18 lets a library tell its name and version to pg_get_loaded_modules().
#if PG_VERSION_NUM >= 180000
#define HNSW_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "hnsw", .version = "1.0")
#else
#define HNSW_MODULE_MAGIC PG_MODULE_MAGIC
#endif

// 16 lets input functions report an error to their caller (pg_input_is_valid(), COPY … ON_ERROR)
// instead of raising it; before, reporting is raising. Code after errsave() must cope with both.
#if PG_VERSION_NUM < 160000
#define errsave(context, ...)        \
    do {                             \
        static_cast<void>(context);  \
        ereport(ERROR, __VA_ARGS__); \
    } while (0)
#endif
