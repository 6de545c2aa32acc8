"""The test bed: real Valkeys, front ends, workers and clients, and the checks that nothing is left behind."""
