"""The playground: a model tried as a client would, with the rights of a key."""
