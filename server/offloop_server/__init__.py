"""The front end: jobs as MCP tools over HTTP. It queues heavy work and never does any."""
