"""Webhook deliveries and their payloads."""
