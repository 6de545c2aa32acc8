"""Kinds of jobs and light tools: contract, limits, context, references."""
