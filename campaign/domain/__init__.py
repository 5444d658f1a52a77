"""The pure core: what the words mean and which moves are legal. It never reads a clock, a file or a socket."""
