"""Fault injection: a cluster of real processes under load, and a checker of the history that clients observed.

* `cluster` starts and breaks Valkey, workers and front ends, some of them behind a `proxy`; they run `fault_jobs`, and
  `clock` skews the clock of one worker;
* `load` simulates the clients and `injector` the faults of a long run, `driver` runs both;
* `history` records the clients' observations and finds violated guarantees.

Each named test injects one fault. A long run from the command line::

    python tests/faults --jobs 20000 --seconds 400 --seed 7
"""
