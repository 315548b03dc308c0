"""`python -m engine.showcase` renders the example pictures of the page; the same seeds give the same bytes."""

from __future__ import annotations

from engine.runtime.device import configure


def main() -> None:
    configure()
    from engine.showcase import drawings, examples

    drawings.make()
    examples.make()


if __name__ == "__main__":
    main()
