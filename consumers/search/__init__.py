"""Vector search over the catalogue: one interface, and adapters that search exactly, with FAISS, or with Milvus."""
