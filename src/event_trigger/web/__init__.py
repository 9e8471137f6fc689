"""HTTP parts that all routers share: sessions, problems, pages, strict JSON, health, docs."""
