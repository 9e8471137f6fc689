"""SQL of the queue: `deliveries` and `cleanup` write deliveries, `destinations` their receivers."""
