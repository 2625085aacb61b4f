-- <=> is the cosine distance; vector_cosine_ops makes the index answer it.
CREATE INDEX packages_embedding_idx ON packages USING hnsw (embedding vector_cosine_ops);
