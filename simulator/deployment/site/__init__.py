"""What the owner of a site does on the site's own host: look at what is asked of it, and at its own data."""
