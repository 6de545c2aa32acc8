"""The worker side: child processes that do the heavy work, and the work itself, one folder per family."""
