"""MCP beside tools: resources, subscriptions, prompts."""
