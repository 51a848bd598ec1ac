"""HTTP below the application: what is no HTTP at all is answered as everything else is."""

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from hairpin.api.headers import stamps
from hairpin.api.problems import respond
from hairpin.api.view import View


def protocol(view: View) -> type[H11Protocol]:
    """uvicorn's protocol, for its setting `http`; the application never sees the requests that this answers."""
    garbage = respond(400, "This is no HTTP/1.1 request; send one.", {"Connection": "close"})

    class Protocol(H11Protocol):
        """One connection."""

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002
            """Answer, with the headers that stand on every response, and hang up."""
            start = h11.Response(status_code=400, headers=garbage.raw_headers + stamps(view), reason=b"Bad Request")
            for event in (start, h11.Data(data=bytes(garbage.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return Protocol
