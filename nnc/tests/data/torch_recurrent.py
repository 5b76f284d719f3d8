"""Writes nnc/tests/data/torch_recurrent.safetensors: the state dict of a PyTorch module with recurrent layers. Prints what it makes of
0.1, 0.2, .. 0.6 as a sequence of three steps, for nnc/tests/recurrent_weights.rs.

    python nnc/tests/data/torch_recurrent.py nnc/tests/data/torch_recurrent.safetensors
"""

import json
import struct
import sys

import torch


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.LSTM(2, 2, num_layers=2, bidirectional=True)
        self.decoder = torch.nn.GRU(4, 3)
        self.head = torch.nn.Linear(3, 1)

    def forward(self, x):
        return self.head(self.decoder(self.encoder(x)[0])[0])


torch.manual_seed(0)
model = Model()
header, data = {}, b""
for name, tensor in model.state_dict().items():
    numbers = tensor.flatten().tolist()
    end = len(data) + 4 * len(numbers)
    header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [len(data), end]}
    data += struct.pack(f"<{len(numbers)}f", *numbers)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
x = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]).reshape(3, 1, 2)
print(model(x).flatten().tolist())
