"""GET /session, GET /session/statistics, DELETE /session (spec/rest-api.md; CONTRACT, section 1)."""

import pytest

from hairpin.stun import Address, Transport


async def addresses(client, **query):
    """The addresses that a listing shows."""
    answer = await client.get("/session", params=query)
    assert answer.status_code == 200, answer.text
    return {one["address"] for one in answer.json()}


async def test_no_session_is_an_empty_array(client):
    """The listing is an array, also of nothing."""
    answer = await client.get("/session?address=&interface=&transport=")
    assert (answer.status_code, answer.json()) == (200, [])
    assert answer.headers["content-type"] == "application/json"


async def test_every_field_of_a_session(client, view):
    """A session shows the document's fields with what is alive now, sorted, each number once, and those beside them."""
    view.add(1)
    assert (await client.get("/session")).json() == [
        {
            "id": "9e3779b1",
            "address": "198.51.0.1:40000",
            "interface": "192.0.2.1:3478",
            "transport": 0,
            "username": "alice",
            "password": "correct horse",
            "channels": [0x4001, 0x4002],
            "port": 50000,
            "expires": 49,
            "permissions": [80, 9000],
            "relays": ["192.0.2.1:50000"],
            "peers": [{"address": "203.0.113.9", "expires": 59}, {"address": "203.0.113.8", "expires": 29}],
        }
    ]


async def test_no_port_before_the_allocation(client, view):
    """A session that has allocated nothing has no port, and empty lists."""
    view.begin(1, transport=Transport.TCP)
    (session,) = (await client.get("/session")).json()
    assert "port" not in session
    assert [session[name] for name in ("channels", "permissions", "relays", "peers")] == [[], [], [], []]
    assert (session["transport"], session["interface"]) == (1, "[2001:db8::1]:3478")


async def test_a_session_that_expired_is_not_shown(client, view):
    """What is past its deadline is gone, also before it was cleared away."""
    view.add(1).expires = view.clock
    assert (await client.get("/session")).json() == []
    assert (await client.get("/session/statistics")).status_code == 404


async def test_passwords_can_be_hidden(client, view):
    """With api.hide_passwords the password is an empty string."""
    view.add(1)
    view.hide_passwords = True
    assert (await client.get("/session")).json()[0]["password"] == ""


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {1, 2, 3}),
        ({"address": "", "interface": "", "transport": "", "username": "", "limit": "", "after": ""}, {1, 2, 3}),
        ({"address": "198.51.0.1:40000"}, {1}),
        ({"address": "198.51.0.1:40001"}, set()),
        ({"address": "198.51.0.2"}, {2}),
        ({"address": "::ffff:198.51.0.2"}, {2}),
        ({"address": "[::ffff:198.51.0.2]:40000"}, {2}),
        ({"interface": "192.0.2.1:3478"}, {1, 3}),
        ({"interface": "10.0.0.1:3478"}, {1, 3}),
        ({"interface": "[2001:DB8:0::2]:3478"}, {2}),
        ({"interface": "192.0.2.1:5349"}, set()),
        ({"interface": "192.0.2.77:1"}, set()),
        ({"transport": "0"}, {1, 3}),
        ({"transport": "UDP"}, {1, 3}),
        ({"transport": "1"}, {2}),
        ({"transport": "tCp"}, {2}),
        ({"username": "alice"}, {1, 3}),
        ({"username": "1700000000:alice"}, {3}),
        ({"username": "Alice"}, set()),
        ({"username": "a&b #\u20ac"}, {2}),
        ({"username": "alice", "transport": "tcp"}, set()),
        ({"username": "alice", "address": "198.51.0.3", "interface": "192.0.2.1:3478", "transport": "udp"}, {3}),
    ],
)
async def test_filters(client, view, query, expected):
    """A session is shown when every filter that is given holds for it; an empty one is as if left out."""
    view.add(1, "alice")
    view.add(2, "a&b #\u20ac", transport=Transport.TCP)
    view.add(3, "1700000000:alice")
    assert await addresses(client, **query) == {str(view.live[number].client) for number in expected}


@pytest.mark.parametrize("path", ["/session", "/session/statistics"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "localhost:1"),
        ("address", "1.2.3"),
        ("address", "1.2.3.4:65536"),
        ("address", "01.2.3.4"),
        ("address", "::1:80:"),
        ("address", "[::1]"),
        ("address", "1.2.3.4\n"),
        ("address", "\u0661.2.3.4"),
        ("address", "1.2.3.4:80 "),
        ("address", "\x00\U0001f600"),
        ("interface", "192.0.2.1"),
        ("interface", "fe80::1%lo:1"),
        ("transport", "2"),
        ("transport", "00"),
        ("transport", "tls"),
        ("transport", "\uff55\uff44\uff50"),
    ],
)
async def test_a_filter_that_does_not_parse(client, path, field, value):
    """It is a 400 that names the field and the value."""
    answer = await client.get(path, params={field: value})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["detail"].startswith(f"{field} is {value!a}; write ")


@pytest.mark.parametrize("value", ["0", "-1", "100001", "1.0", "1e3", "9" * 5000, "one", "\u0661", " 1", "+1"])
async def test_a_limit_that_is_none(client, value):
    """A limit outside 1 to 100000 is a 400."""
    answer = await client.get("/session", params={"limit": value})
    assert answer.status_code == 400
    assert "from 1 to 100000" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["adress=1.2.3.4", "address=1.2.3.4&address=1.2.3.5", "all=true&username=x", "=1"])
async def test_unknown_and_doubled_fields(client, view, query):
    """A field that is unknown or there twice is refused: ignored, it would mean more sessions than was thought."""
    view.add(1)
    assert (await client.get(f"/session/statistics?{query}")).status_code == 400
    assert (await client.delete(f"/session?{query.replace('all', 'al')}")).status_code == 400
    assert view.live


@pytest.mark.parametrize(
    "spelling", ["2001:db8::5", "2001:DB8:0:0:0:0:0:5", "2001:db8::0.0.0.5", "2001:0db8:0:0::0005"]
)
async def test_spellings_of_ipv6(client, view, spelling):
    """An IPv6 address is found by each of its spellings."""
    view.add(1).client = Address("2001:db8::5", 4000)
    assert await addresses(client, address=spelling) == {"[2001:db8::5]:4000"}
    assert await addresses(client, address=f"[{spelling}]:4000") == {"[2001:db8::5]:4000"}


async def test_statistics(client, view):
    """The five figures of the one session that is meant, up to the last uint64."""
    view.add(1)
    view.add(2)
    answer = await client.get("/session/statistics", params={"address": "198.51.0.2:40000"})
    assert answer.json() == {
        "received_bytes": 10,
        "send_bytes": 2**64 - 1,
        "received_pkts": 1,
        "send_pkts": 2,
        "error_pkts": 0,
    }


@pytest.mark.parametrize(("method", "path"), [("GET", "/session/statistics"), ("DELETE", "/session")])
async def test_exactly_one_is_meant(client, view, method, path):
    """None is 404; several are 400 with how many matched, and nothing happens to them."""
    assert (await client.request(method, path)).status_code == 404
    view.add(1)
    view.add(2)
    view.add(3, "bob")
    answer = await client.request(method, path)
    assert (answer.status_code, answer.json()["matched"]) == (400, 3)
    answer = await client.request(method, path, params={"username": "alice"})
    assert (answer.status_code, answer.json()["matched"]) == (400, 2)
    assert "2 sessions match" in answer.json()["detail"]
    assert len(view.live) == 3


async def test_statistics_of_a_session_that_went_away_meanwhile(client, view, monkeypatch):
    """The worker knows nothing of it any more: 404."""

    async def gone(flow):
        return None

    view.add(1)
    monkeypatch.setattr(view, "statistics", gone)
    assert (await client.get("/session/statistics")).status_code == 404


async def test_delete_one(client, view):
    """The session that is named ends, the others do not."""
    view.add(1)
    view.add(2)
    answer = await client.delete("/session?address=198.51.0.1:40000&interface=&transport=")
    assert (answer.status_code, answer.json()) == (200, {"deleted": 1})
    assert set(view.live) == {2}
    assert (await client.delete("/session?address=198.51.0.1:40000")).status_code == 404


@pytest.mark.parametrize("query", ["", "?address=&interface=&transport=&username="])
async def test_delete_means_one_session(client, view, query):
    """Empty filters are as if left out: they name the only session, and none where there are several."""
    view.add(1)
    view.add(2)
    answer = await client.delete(f"/session{query}")
    assert (answer.status_code, answer.json()["matched"], set(view.live)) == (400, 2, {1, 2})
    del view.live[2]
    assert (await client.delete(f"/session{query}")).status_code == 200
    assert not view.live


async def test_throw_a_user_out(client, view):
    """username and all=true end all of a user's sessions and say how many; nobody is blocked unless asked for."""
    for number in range(1, 151):
        view.add(number)
    view.add(200, "bob")
    answer = await client.delete("/session?username=alice&all=true")
    assert (answer.status_code, answer.json()) == (200, {"deleted": 150})
    assert (set(view.live), view.blocked) == ({200}, {})
    assert (await client.delete("/session?username=alice&all=true")).json() == {"deleted": 0}


async def test_block_a_user(client, view):
    """block refuses Allocates under the name that was given and the one that quotas count, with sessions or none."""
    view.add(1, "1700000000:alice")
    answer = await client.delete("/session", params={"username": "1700000000:alice", "all": "true", "block": "600"})
    assert answer.json() == {"deleted": 1}
    assert view.blocked == {"1700000000:alice": 600, "alice": 600}
    await client.delete("/session", params={"username": "bob", "all": "true", "block": "5"})
    assert view.blocked["bob"] == 5


@pytest.mark.parametrize(
    "query",
    ["all=true", "username=alice&block=5", "username=alice&all=false&block=5", "username=alice&all=yes"]
    + [f"username=alice&all=true&block={value}" for value in ("0", "-1", "x", "31622401", "9" * 40)],
)
async def test_bad_ways_to_throw_a_user_out(client, view, query):
    """all without a user, block without all, and numbers outside their limits are 400 and do nothing."""
    view.add(1)
    assert (await client.delete(f"/session?{query}")).status_code == 400
    assert (set(view.live), view.blocked) == ({1}, {})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/session/statistics"),
        ("DELETE", "/session?username=alice"),
        ("DELETE", "/session?username=alice&all=true"),
        ("GET", "/metrics"),
    ],
)
async def test_a_worker_that_does_not_answer(client, view, method, path):
    """Without its acknowledgement the answer is 503, a problem."""
    view.add(1)
    view.stuck = True
    answer = await client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
