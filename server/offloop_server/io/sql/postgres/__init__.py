"""PostgreSQL: driver, connection pool, session and catalogue."""
