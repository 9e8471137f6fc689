"""How the service reaches PostgreSQL: engine, embedded server, notifications, migrations."""
