"""Support for tests: running stacks, hosts, files, jobs, and waiting with a bound."""
