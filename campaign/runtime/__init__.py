"""What keeps the verbs running. It never decides what a verb means."""
