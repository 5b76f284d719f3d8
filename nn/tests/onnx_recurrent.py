"""Prints nn/tests/onnx_recurrent.txt: inputs and results of the ONNX backend tests of RNN, GRU and LSTM, from a folder that
has them as the `onnx` package lays them out (`test_lstm_reverse/model.onnx`, `test_data_set_0/input_0.pb`). A line is a name, an
equals sign and numbers; the name is that of the test and of the operand in the specification. A line with the shape goes before
each.

    python nn/tests/onnx_recurrent.py FOLDER > nn/tests/onnx_recurrent.txt
"""

import pathlib
import sys

import onnx
from onnx import numpy_helper

OPERANDS = {
    "RNN": ["X", "W", "R", "B", "sequence_lens", "initial_h"],
    "GRU": ["X", "W", "R", "B", "sequence_lens", "initial_h"],
    "LSTM": ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"],
}
RESULTS = ["Y", "Y_h", "Y_c"]


def emit(case, names, used, folder, kind):
    """The files of a case are numbered by those of its operands that are there."""
    present = [name for name, use in zip(names, used) if use]
    for index, name in enumerate(present):
        tensor = onnx.TensorProto()
        tensor.ParseFromString((folder / f"{kind}_{index}.pb").read_bytes())
        array = numpy_helper.to_array(tensor)
        print(f"{case}.{name} shape =", *array.shape)
        print(f"{case}.{name} =", *array.flatten().tolist() if array.dtype.kind == "i" else map(str, array.flatten()))


print("# Inputs and results of ONNX backend tests, printed by nn/tests/onnx_recurrent.py from version 1.23.2 of the package.")
print("# Copyright (c) ONNX Project Contributors. SPDX-License-Identifier: Apache-2.0")
for folder in sorted(pathlib.Path(sys.argv[1]).glob("test_*")):
    model = onnx.load(folder / "model.onnx")
    node = model.graph.node[0]
    if len(model.graph.node) == 1 and node.op_type in OPERANDS:
        case = folder.name.removeprefix("test_")
        emit(case, OPERANDS[node.op_type], node.input, folder / "test_data_set_0", "input")
        emit(case, RESULTS, node.output, folder / "test_data_set_0", "output")
