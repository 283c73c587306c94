"""Controllers as pure loops: what is, what should be, and the requests between the two; one concept a file."""
