"""Child processes: pool, zygote, frames, context, results."""
