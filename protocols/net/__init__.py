"""Dialling, listening, TLS contexts and owned tasks: what all relays share."""
