"""`python -m manual` writes docs/reference/ anew; `python -m manual site` then builds .build/site, too."""

import sys

from manual import reference, site


def main(arguments: list[str]) -> int:
    """The exit status: that of the site's builder, where there is one."""
    if arguments not in ([], ["site"]):
        print(__doc__, file=sys.stderr)
        return 2
    reference.write()
    return site.build() if arguments else 0


sys.exit(main(sys.argv[1:]))
