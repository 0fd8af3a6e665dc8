"""The documentation as readers use it: what can be run is run, what can be checked is checked."""
