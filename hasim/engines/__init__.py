"""Three ways to an answer, which never import one another: exact, Monte Carlo, and one history at a time."""
