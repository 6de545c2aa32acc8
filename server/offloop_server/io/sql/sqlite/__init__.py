"""SQLite: driver, reader and sandbox."""
