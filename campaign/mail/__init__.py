"""Words in, bytes out, answers back. It never touches the ledger."""
