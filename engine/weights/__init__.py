"""The table of networks, and the way from a name in it to a network that is ready to run.

`Weights.load(name)` looks for the file in the folder of the settings (VITRINE_WEIGHTS), in `weights/`, in the Hub's
cache and on the Hub; checks size and SHA-256; reads tensors and nothing else (safetensors, the initialisers of an
`.onnx`, or a `.pth` with `weights_only=True`); builds the network strictly; and keeps it, the least recently used
leaving first. What cannot be had is one sentence, so that the embedded network can be used instead and the result says
why.

    row.py         Weight: all there is to know about one file
    table.py       TABLE: the rows themselves
    index.py       weights/index.json: size, hash and measurements of the files
    choice.py      which network of the table answers a request
    hub.py         the Hub and its cache: downloads, their failures, pinning
    network.py     Network: from a file of tensors to a network that can be called
    onnx.py        the tensors of an ONNX file; int8.py those that are stored in a byte each
    load.py        Weights: each network found, checked, loaded once and kept
    __main__.py    the commands that keep the table true to the files; the tables for people are written by
    engine/evaluate

Importing this imports neither torch nor huggingface_hub.
"""

from engine.weights.load import Weights
from engine.weights.network import Network
from engine.weights.row import Weight, WeightsUnavailable
from engine.weights.table import TABLE

__all__ = ["TABLE", "Network", "Weight", "Weights", "WeightsUnavailable"]
