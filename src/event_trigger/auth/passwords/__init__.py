"""How passwords are chosen and hashed."""
