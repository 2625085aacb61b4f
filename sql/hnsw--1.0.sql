\echo Use "CREATE EXTENSION hnsw" to load this file. \quit
