"""What every router shares: sessions, problems, pages, strict bodies, health, the docs."""
