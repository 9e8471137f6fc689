"""What admins look after: everybody's accounts, and the record of who did what."""
