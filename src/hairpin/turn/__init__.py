"""The rules of TURN (RFC 8656), sans-IO: a request and the time go in, effects come out."""
