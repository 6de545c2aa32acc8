"""A running offloop: real Valkey, front ends, workers and clients."""
