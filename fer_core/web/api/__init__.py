"""The API under /api/v1: JSON in, JSON out, described by the OpenAPI document that is served beside it."""
