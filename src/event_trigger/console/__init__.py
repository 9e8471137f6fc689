"""The page that people see: its session, and its files."""
