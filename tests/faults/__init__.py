"""Faults on purpose: a cluster of real processes, what breaks it, and a checker of what clients saw meanwhile.

* `cluster` starts and breaks Valkey, workers and front ends (`processes`), some of them behind a `proxy`;
  `fault_jobs` is what they run, `clock` what sets one worker's clock wrong;
* `load` and `chaos` are the clients and the faults of a long run, `driver` brings them together;
* `history` keeps what clients saw, and says which promise it breaks.

The named tests bring about one fault each. A long run from the command line::

    python tests/faults --jobs 20000 --seconds 400 --seed 7
"""
