"""The views, a file a page and what it sends."""
