"""Keys and certificates of a deployment: made on the hosts, signed by the organiser, changed, and revoked."""
