"""Plays the bugs planted into Raft, prints which check convicted each, and writes docs/raft-mutations.md.

Run it with the Python that has hasim: `python docs/make_mutations.py`. It takes some seconds of processor time.
"""

from __future__ import annotations

import sys
from pathlib import Path

OUT = Path(__file__).with_name("raft-mutations.md")


def main() -> None:
    """Play each story with the bug and without, then write the list."""
    sys.path[:0] = [str(OUT.parents[1] / "tests" / "protocols")]
    from mutations import MUTATIONS, table

    wrong = 0
    for each in MUTATIONS:
        with_bug, without = each.play(bug=True), each.play(bug=False)
        fine = set(each.convicts) <= set(with_bug) and not without
        wrong += not fine
        print(f"{each.row:>3} {'convicted' if fine else 'WRONG'}: {', '.join(with_bug)} (without the bug: {without})")
    print()
    print(table())
    if wrong:
        sys.exit(f"{wrong} of {len(MUTATIONS)} are not convicted, or convicted without the bug: nothing written")
    OUT.write_text(table(), encoding="utf-8")


if __name__ == "__main__":
    main()
