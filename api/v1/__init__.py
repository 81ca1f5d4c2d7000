"""REST API v1, for business software."""
