"""HTTP tools: http_get, call_api, bulk_fetch."""
