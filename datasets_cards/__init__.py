"""Templates of the cards that published datasets carry (a package, so that a wheel brings them along)."""
