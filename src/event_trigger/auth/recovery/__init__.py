"""New passwords for people who have forgotten theirs: a link by mail, which works once."""
