"""`python -m hasim` is the command line."""

from hasim.cli import main

main()
