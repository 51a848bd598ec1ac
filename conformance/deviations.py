"""Where hairpin does otherwise on purpose, by check: the page gives the reason beside the result."""

DEVIATIONS: dict[str, str] = {
    "integrity_is_judged_before_nonce": (
        "hairpin looks at the nonce first and answers 438 whatever the integrity: so a stranger, whose address a nonce "
        "proves, costs neither a look-up of his user nor state. A client that is told 438 tries again with the new "
        "nonce and then gets its 401"
    ),
    "binding_has_software": (
        "An answer to who has proved nothing is kept short, so that a forged source gets little for its datagram"
    ),
    "turn_responses_have_software": (
        "hairpin names itself once, in the success of Allocate. An answer to who has proved nothing is kept short, so "
        "that a forged source gets little for its datagram, and later ones would only say the same again"
    ),
}
