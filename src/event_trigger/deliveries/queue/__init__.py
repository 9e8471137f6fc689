"""All SQL of the delivery queue: `deliveries` writes that table, `destinations` the receivers'."""
