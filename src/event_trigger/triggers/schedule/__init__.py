"""When a trigger fires: arithmetic alone, without database, network or clock."""
