"""MySQL and MariaDB: driver, connection pool, session, binary protocol and catalogue."""
