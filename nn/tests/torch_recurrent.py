"""Prints nn/tests/torch_recurrent.txt: what PyTorch computes, in f64, for the tests of recurrent layers. A line is a name, an
equals sign and numbers. Of each case there are its parameters under PyTorch's names, the outputs `y` and last states `h_n` and
`c_n`, and the gradients `d..` of the sum of these, each times the weights of its name.

    python nn/tests/torch_recurrent.py > nn/tests/torch_recurrent.txt
"""

import math

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

STEPS, BATCH, INPUTS, HIDDEN, PROJECTION = 4, 3, 2, 3, 2
LENGTHS = [2, 4, 1]


def wave(shape, phase, scale=1.0):
    """Numbers with three decimals that look like noise, so that they can be read and written exactly."""
    count = math.prod(shape)
    values = [round(scale * math.sin(1.7 * i * (1 + 0.01 * i) + phase), 3) for i in range(count)]
    return torch.tensor(values).reshape(shape)


def emit(name, values):
    values = torch.as_tensor(values, dtype=torch.float64).flatten().tolist()
    print(name, "=", *map(repr, values))


def case(name, layer, lengths=None, has_states=False):
    for index, parameter in enumerate(layer.parameters()):
        parameter.data = wave(parameter.shape, 0.3 * index + 0.1, 0.6)
    x = wave([STEPS, BATCH, INPUTS], 0.7, 2.0).requires_grad_()
    is_lstm = isinstance(layer, torch.nn.LSTM)
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [layer.proj_size or layer.hidden_size] + ([layer.hidden_size] if is_lstm else [])
    states = None
    if has_states:
        states = [wave([count, BATCH, size], 2.1 + i).requires_grad_() for i, size in enumerate(sizes)]
    given = (tuple(states) if is_lstm else states[0]) if has_states else None
    if lengths is None:
        y, last = layer(x, given)
    else:
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        y, last = layer(packed, given)
        y, _ = pad_packed_sequence(y, total_length=STEPS)
    outputs = {"y": y, "h_n": last[0] if is_lstm else last}
    if is_lstm:
        outputs["c_n"] = last[1]
    loss = sum((value * wave(value.shape, 1.3 + i)).sum() for i, value in enumerate(outputs.values()))
    loss.backward()
    emit(f"{name}.x", x)
    emit(f"{name}.dx", x.grad)
    for i, value in enumerate(outputs):
        emit(f"{name}.{value}", outputs[value])
        emit(f"{name}.weights_{value}", wave(outputs[value].shape, 1.3 + i))
    for i, state in enumerate(states or []):
        emit(f"{name}.state{i}", state)
        emit(f"{name}.dstate{i}", state.grad)
    for parameter, value in layer.named_parameters():
        emit(f"{name}.parameter.{parameter}", value)
        emit(f"{name}.d{parameter}", value.grad)


def cases(name, layer, **options):
    case(f"{name}.one", layer(INPUTS, HIDDEN, **options))
    case(f"{name}.two", layer(INPUTS, HIDDEN, num_layers=2, **options), has_states=True)
    case(f"{name}.both", layer(INPUTS, HIDDEN, bidirectional=True, bias=False, **options))
    case(f"{name}.lengths", layer(INPUTS, HIDDEN, **options), LENGTHS)
    whole = layer(INPUTS, HIDDEN, num_layers=2, bidirectional=True, **options)
    case(f"{name}.two_both_lengths", whole, LENGTHS, has_states=True)


print(f"# What PyTorch {torch.__version__.split('+')[0]} computes; printed by nn/tests/torch_recurrent.py.")
cases("rnn", torch.nn.RNN)
cases("gru", torch.nn.GRU)
cases("lstm", torch.nn.LSTM)
cases("lstm_proj", torch.nn.LSTM, proj_size=PROJECTION)
case("rnn_relu.one", torch.nn.RNN(INPUTS, HIDDEN, nonlinearity="relu"))
