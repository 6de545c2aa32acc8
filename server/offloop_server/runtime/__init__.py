"""The front end's process: background tasks, threads, limiter, loop monitor, tuning."""
