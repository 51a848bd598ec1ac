"""What runs the documentation's blocks finds what does not hold, and says where."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fences import MarkingError, fences, matches
from reading import follow
from world import World, world


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    """A machine of its own."""
    folder = tmp_path / "world"
    folder.mkdir()
    with world(folder) as made:
        yield made


def page_of(folder: Path, *blocks: str) -> Path:
    """A page with these blocks, each a comment or nothing, an info string, and lines."""
    page = folder / "page.md"
    page.write_text("# A page\n\n" + "\n\n".join(blocks) + "\n")
    return page


def block(info: str, text: str, comment: str = "") -> str:
    """A fenced block."""
    return f"{comment}\n```{info}\n{text}\n```".lstrip()


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("one", "one", True),
        ("one", "one\n", True),
        ("one", "other", False),
        ("one", "one\ntwo", False),
        ("one\n...", "one\ntwo\nthree", True),
        ("one\n...", "one", True),
        ("one\n  ...\nthree", "one\ntwo\nthree", True),
        ("...\nthree", "one\ntwo\nthree", True),
        ("port ... of ...", "port 7 of 9", True),
        ("port ... of 9", "port 7\nof 9", False),
        ("a.c", "abc", False),
        ("trailing  ", "trailing", True),
    ],
)
def test_what_is_shown_against_what_is_printed(shown: str, printed: str, same: bool) -> None:
    """Three dots are anything within a line, and any lines where they stand alone; nothing else is special."""
    assert matches(shown, printed) == same


def test_a_page_that_holds(here: World, tmp_path: Path) -> None:
    """Blocks share a folder and a shell; files come from titles, a server serves on its own default ports."""
    page = page_of(
        tmp_path,
        block('toml title="hairpin.toml"', '[[turn.interfaces]]\ntransport = "udp"\nbind = "127.0.0.1:3478"'),
        block("console", "$ name=there\n$ echo $name \\\n  and back\nthere and back"),
        block("console", "$ hairpin serve --config hairpin.toml\nhairpin ...\n  turn  127.0.0.1:3478 (udp)\n..."),
        block("console", '$ curl -s localhost:3000/info\n{"software":"hairpin/..."...}\n$ grep x none\n$ echo $?\n2'),
        block("console", "$ echo $name; exit_with() { return $1; }; exit_with 3\nthere", "<!-- exits with 3 -->"),
        block("toml", "[limits]\nallocations = 7"),
        block("python", "import asyncio\nawait asyncio.sleep(0)"),
        block("console", "$ cat made\nit", "<!-- first: echo it >made -->"),
        block("console", "$ exit 1", "<!-- not run: it would end the shell -->"),
    )
    follow(fences(page), here)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (block("console", "$ true\n$ echo one\ntwo"), "page.md:5: $ echo one"),
        (block("console", "$ false"), "status 0 is promised"),
        (block("console", "$ true", "<!-- exits with 1 -->"), "status 1 is promised"),
        (block("console", "$ hairpin serve --config none.toml"), "none.toml: cannot be read"),
        (block("console", "$ true", "<!-- first: false -->"), "before it, false: exit status 1"),
        (block("sh", "false\ntrue"), "page.md:3: exit status 1"),
        (block("toml", "[limits]\nallocation = 7"), "unknown key"),
        (block('toml title="hairpin.toml"', '[turn]\nrealm = ""'), "turn.realm"),
        (block("python", "raise SystemExit(4)"), "page.md:3: exit status 4"),
        (block('python title="mine.py"', "import nothing_of_that_name"), "ModuleNotFoundError"),
    ],
)
def test_what_does_not_hold(here: World, tmp_path: Path, made: str, says: str) -> None:
    """A command that prints or ends otherwise, settings that are wrong, a program that fails."""
    with pytest.raises(AssertionError) as failure:
        follow(fences(page_of(tmp_path, made)), here)
    assert says in str(failure.value)


@pytest.mark.parametrize(
    "made",
    [
        block("", "$ true"),
        "    $ true",
        block("bash-session", "$ true"),
        block("console", "true"),
        block("console", "$ true", "<!-- not run: -->"),
        block("console", "$ true", "<!-- not run: because -->"),
    ],
)
def test_what_is_not_marked(here: World, tmp_path: Path, made: str) -> None:
    """A block without a language that is known, a console without a command, an excuse without a reason."""
    with pytest.raises(MarkingError, match=r"page\.md:"):
        follow(fences(page_of(tmp_path, made)), here)


def test_nothing_is_done_to_this_machine(here: World) -> None:
    """A page may write in its folder, and nowhere else."""
    assert here.run("touch here && ls here").out == "here\n"
    for file in ("/etc/made-by-a-page", Path(__file__).with_name("made-by-a-page")):
        assert "Read-only file system" in here.run(f"touch {file}").err


def test_worlds_are_apart(here: World, tmp_path: Path) -> None:
    """Two of them have the same addresses, ports and processes' numbers, and neither meets the other."""
    folder = tmp_path / "other"
    folder.mkdir()
    with world(folder) as other:
        for one in (here, other):
            assert one.serve("hairpin serve").status == 0
            assert one.run("pgrep -c -f 'hairpin serve'").out == "1\n"
