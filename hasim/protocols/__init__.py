"""Pure protocols: machines that hear events and ask for effects, with no clock, chance or network of their own."""
