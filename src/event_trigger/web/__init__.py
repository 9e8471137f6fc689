"""What every router shares: sessions, problems, pagination, strict bodies, health, the docs pages."""
