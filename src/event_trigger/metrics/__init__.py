"""`GET /metrics` for Prometheus, also on a port of its own."""
