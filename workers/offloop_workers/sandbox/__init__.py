"""Sandbox of a child: policy, seccomp, Landlock, kernel limits."""
