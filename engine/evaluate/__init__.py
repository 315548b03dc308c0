"""`python -m engine.evaluate [NAME...] --data DIR`: measure our networks next to what they must beat.

DIR holds `benchmarks.tar` (or the folders Set5, Set14, BSD68) and the packs that the networks were trained on, of which
the held-out pictures are used. The table is printed, written into the cards of the weights (`weights/NAME.md`, between
the marks) with a new sample picture and, its headline rows, into `weights/index.json`. Figures come from the shipped
files through the app's own tiles, on pictures that no recipe has seen. A module for each network; generators are
measured by `engine.evaluate.generation`, all by the same.
"""
