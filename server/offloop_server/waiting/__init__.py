"""The wait budget: calls that wait for their jobs, and the pushes that resolve them."""
