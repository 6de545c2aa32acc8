"""Text of foreign files: labels and decoders of the WHATWG Encoding Standard, declarations, detection."""
