"""Run checks on one server: the quick ones one after the other, those that last beside them, all at once."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from conformance.clauses import BrokenError, Check, NotOfferedError, Outcome, Result, SkippedError
from conformance.scene import Target, staged
from conformance.stun import MalformedError

MOMENT = 60  # seconds; what lasts longer runs only when asked for
Progress = Callable[[Check, Result], None]


def run(
    target: Target, checks: Iterable[Check], *, limit: int = MOMENT, progress: Progress | None = None
) -> dict[str, Result]:
    """The result of every check by name; one that lasts longer than `limit` seconds is skipped."""
    results: dict[str, Result] = {}

    def note(check: Check, result: Result) -> None:
        results[check.name] = result
        if progress is not None:
            progress(check, result)

    chosen = list(checks)
    lasting = [one for one in chosen if 0 < one.lasts <= limit]
    with ThreadPoolExecutor(max_workers=max(len(lasting), 1)) as threads:
        waiting: list[tuple[Check, Future[Result]]] = [(one, threads.submit(tried, one, target)) for one in lasting]
        for one in chosen:
            if not one.lasts:
                note(one, tried(one, target))
            elif one not in lasting:
                note(one, Result(Outcome.SKIPPED, f"takes {one.lasts} s, and the limit was {limit} s"))
        for one, result in waiting:
            note(one, result.result())
    return results


def tried(check: Check, target: Target) -> Result:
    """One check; an error of the network in the midst of it is a failure of the server."""
    try:
        with staged(target) as scene:
            check.run(scene)
    except BrokenError as error:
        return Result(Outcome.FAIL, str(error))
    except NotOfferedError as error:
        return Result(Outcome.NOT_OFFERED, str(error))
    except SkippedError as error:
        return Result(Outcome.SKIPPED, str(error))
    except (OSError, EOFError, MalformedError) as error:
        return Result(Outcome.FAIL, f"{type(error).__name__}: {error}".rstrip(": "))
    return Result(Outcome.PASS)
