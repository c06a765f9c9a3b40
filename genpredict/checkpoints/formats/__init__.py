"""What files hold: one module a file format, and what keeps hostile files harmless."""
