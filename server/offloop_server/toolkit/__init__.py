"""Parts that tools are made of: arguments, answers, job tools, light tools."""
