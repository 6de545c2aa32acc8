"""Webhook deliveries: dispatcher and sender."""
