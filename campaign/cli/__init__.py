"""The command line. It words questions and answers and never decides."""
