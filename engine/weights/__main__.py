"""`python -m engine.weights` keeps the table of weights true to the files.

`pin NAME` asks the Hub for revision, size and hash of a row, `index` writes size and hash of the embedded files. The
tables for people are written from these by `python -m engine.evaluate tables`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engine.contract.errors import RequestError
from engine.weights.hub import pin, reason_of
from engine.weights.index import FOLDER, write_index
from engine.weights.row import source
from engine.weights.table import ROWS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m engine.weights", description="Keep the table of weights true to the files."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("pin", help="print a row with what the Hub has now").add_argument("name")
    commands.add_parser("index", help="write size and hash of the embedded files into weights/index.json")
    options = parser.parse_args(arguments)
    rows = {row.name: row for row in ROWS}
    if options.command == "pin":
        if options.name not in rows or rows[options.name].embedded:
            parser.error(f"the networks on the Hub are {', '.join(row.name for row in ROWS if not row.embedded)}")
        try:
            print(source(pin(rows[options.name])))
        except Exception as error:
            reason = reason_of(error)[0] or "the Hub did not answer"
            print(
                error if isinstance(error, RequestError) else f"{options.name} could not be pinned because {reason}.",
                file=sys.stderr,
            )
            return 2
        return 0
    if options.command == "index":
        write_index(FOLDER, ROWS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
