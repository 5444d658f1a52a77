"""Pages for subscribers. A GET here never changes anything."""
