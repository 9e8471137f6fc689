"""SQL of the queue: some modules write deliveries, `queued` finds them, `destinations` locks."""
