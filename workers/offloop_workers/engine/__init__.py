"""Engine: how jobs arrive, how one runs, the worker's life."""
