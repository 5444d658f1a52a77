"""What Campaign asks of the world: the DNS. Nobody out there is believed, and nobody is waited for without end."""
