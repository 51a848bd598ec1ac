"""What a STUN and TURN server owes to its clients, clause by clause: raw sockets, a codec of its own, no hairpin."""
