"""Values every room may hold: frozen, standard library only."""
