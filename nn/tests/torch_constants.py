"""Prints nn/tests/torch_constants.txt: what PyTorch computes, in f64, for the tests of losses, activations,
normalisation, optimizers and schedules. A line is a name, an equals sign and numbers.

    python nn/tests/torch_constants.py > nn/tests/torch_constants.txt
"""

import math

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def wave(shape, phase, scale=2.0):
    """Numbers with three decimals that look like noise, so that they can be read and written exactly."""
    count = math.prod(shape)
    values = [round(scale * math.sin(1.7 * i * (1 + 0.01 * i) + phase), 3) for i in range(count)]
    return torch.tensor(values).reshape(shape)


def emit(name, values):
    values = torch.as_tensor(values, dtype=torch.float64).flatten().tolist()
    print(name, "=", *map(repr, values))


def differentiated(f, x, weights=None):
    x = x.clone().requires_grad_()
    y = f(x)
    (y.sum() if weights is None else (y * weights).sum()).backward()
    return y.detach(), x.grad


def emit_function(name, f, x, weights=None):
    """The value of a function and the gradient of its (weighted) sum."""
    y, dx = differentiated(f, x, weights)
    emit(f"{name}.y", y)
    emit(f"{name}.dx", dx)


def activations():
    x = torch.tensor([-200.0, -30.0, -5.0, -2.0, -1.0, -0.5, -1e-3, 0.0, 1e-3, 0.5, 1.0, 2.0, 5.0, 30.0, 200.0])
    emit("points", x)
    functions = {
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": F.relu,
        "leaky_relu": F.leaky_relu,
        "elu": F.elu,
        "selu": F.selu,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        # PyTorch's own softplus is the identity above a threshold.
        "softplus": lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    }
    for name, f in functions.items():
        emit_function(name, f, x)
    rows, weights = wave([3, 5], 0.5), wave([3, 5], 1.5)
    emit("rows", rows)
    emit("row_weights", weights)
    emit_function("softmax", lambda x: F.softmax(x, -1), rows, weights)
    for count in (1, 5):
        slopes = torch.full([count], 0.25, requires_grad=True)
        emit_function(f"prelu_{count}", lambda x: F.prelu(x, slopes), rows, weights)
        emit(f"prelu_{count}.dslopes", slopes.grad)
    emit_function("rrelu_in_use", lambda x: F.rrelu(x, training=False), rows, weights)


def losses():
    z = wave([4, 3], 0.9, 3.0)
    labels = torch.tensor([0, 2, 1, 2])
    y = wave([4, 3], 2.2)
    probabilities = torch.tensor([0.0, 1.0, 0.25, 0.5, 0.75, 0.0, 1.0, 1.0, 0.125, 0.5, 0.0, 1.0]).reshape(4, 3)
    distribution = torch.tensor([0.5, 0.25, 0.25, 0.0, 0.0, 1.0, 0.125, 0.75, 0.125, 0.5, 0.5, 0.0]).reshape(4, 3)
    class_weights = torch.tensor([0.5, 2.0, 1.25])
    emit("logits", z)
    emit("targets", y)
    emit("probabilities", probabilities)
    emit("distribution", distribution)
    functions = {
        "cross_entropy": lambda z: F.cross_entropy(z, labels),
        "cross_entropy_weighted": lambda z: F.cross_entropy(z, labels, class_weights),
        "cross_entropy_smooth": lambda z: F.cross_entropy(z, labels, label_smoothing=0.1),
        "cross_entropy_both": lambda z: F.cross_entropy(z, labels, class_weights, label_smoothing=0.1),
        "multi_class_hinge": lambda z: F.multi_margin_loss(z, labels),
        "squared_error": lambda z: F.mse_loss(z, y),
        "absolute_error": lambda z: F.l1_loss(z, y),
        "huber": lambda z: F.huber_loss(z, y, delta=0.7),
        "binary_cross_entropy": lambda z: F.binary_cross_entropy_with_logits(z, probabilities),
        "soft_cross_entropy": lambda z: F.cross_entropy(z, distribution),
        "kl_divergence": lambda z: F.kl_div(F.log_softmax(z, 1), distribution, reduction="batchmean"),
    }
    for name, f in functions.items():
        emit_function(name, f, z)


def normalisation():
    weight, bias = torch.tensor([1.5, -0.5, 0.25]), torch.tensor([0.1, 0.2, -0.3])
    emit("norm.weight", weight)
    emit("norm.bias", bias)
    layers = {
        "batch_norm_2": (torch.nn.BatchNorm1d(3), [4, 3]),
        "batch_norm_4": (torch.nn.BatchNorm2d(3), [2, 3, 2, 2]),
        "layer_norm": (torch.nn.LayerNorm(3), [4, 3]),
    }
    for name, (layer, shape) in layers.items():
        layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
        x, weights = wave(shape, 0.3) + 1.0, wave(shape, 1.1)
        emit(f"{name}.x", x)
        emit(f"{name}.out_weights", weights)
        emit_function(name, layer, x, weights)
        emit(f"{name}.dweight", layer.weight.grad)
        emit(f"{name}.dbias", layer.bias.grad)
        if name != "layer_norm":
            emit(f"{name}.running_mean", layer.running_mean)
            emit(f"{name}.running_var", layer.running_var)
            layer.eval()
            emit(f"{name}.y_in_use", layer(x).detach())


START = [1.0, -2.0, 0.5]
TARGET = [0.2, 0.1, 3.0]
STEPS = 50


def trained(make, before_step=lambda p: None, prepare=lambda optimizer, p: None):
    """p after each of the steps on sum (p - target)^4 / 4."""
    p = torch.nn.Parameter(torch.tensor(START))
    optimizer = make([p])
    prepare(optimizer, p)
    history = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        ((p - torch.tensor(TARGET)) ** 4 / 4).sum().backward()
        before_step(p)
        optimizer.step()
        history.append(p.detach().clone())
    return history[0], history[-1]


def optimizers():
    def zero_momentum(optimizer, p):
        # From an average that is 0 before the first gradient; by itself PyTorch leaves that undamped.
        optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)

    sgd = lambda **settings: lambda p: torch.optim.SGD(p, lr=0.02, **settings)
    cases = {
        "sgd": trained(sgd()),
        "sgd_decay": trained(sgd(weight_decay=0.1)),
        "sgd_momentum": trained(sgd(momentum=0.9, weight_decay=0.1)),
        "sgd_average": trained(sgd(momentum=0.9, dampening=0.9), prepare=zero_momentum),
        "sgd_nesterov": trained(sgd(momentum=0.9, nesterov=True)),
        "rmsprop": trained(lambda p: torch.optim.RMSprop(p, lr=0.02, weight_decay=0.1)),
        "adagrad": trained(lambda p: torch.optim.Adagrad(p, lr=0.3, weight_decay=0.1)),
        "adam": trained(lambda p: torch.optim.Adam(p, lr=0.1)),
        "adam_decay": trained(lambda p: torch.optim.Adam(p, lr=0.1, weight_decay=0.1)),
        "adamw": trained(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1)),
        "clip_norm": trained(sgd(momentum=0.9), before_step=lambda p: torch.nn.utils.clip_grad_norm_([p], 2.0)),
        "clip_value": trained(sgd(momentum=0.9), before_step=lambda p: torch.nn.utils.clip_grad_value_([p], 2.0)),
    }
    for name, (first, last) in cases.items():
        emit(f"{name}.first", first)
        emit(f"{name}.last", last)


def schedules():
    def rates(make, losses=None):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        schedule = make(optimizer)
        history = []
        for step in range(len(losses) if losses else 12):
            optimizer.step()
            if losses is None:
                history.append(optimizer.param_groups[0]["lr"])
                schedule.step()
            else:
                schedule.step(losses[step])
                history.append(optimizer.param_groups[0]["lr"])
        return history

    s = torch.optim.lr_scheduler
    emit("step_rates", rates(lambda o: s.StepLR(o, 3, 0.5)))
    emit("cosine_rates", rates(lambda o: s.CosineAnnealingLR(o, 11, 0.1)))
    emit("warm_up_rates", rates(lambda o: s.LinearLR(o, 0.25, 1.0, 3)))
    losses = [1.0, 0.9, 0.91, 0.8999999, 0.92, 0.5, 0.6, 0.7, 0.6, 0.6, 0.6, 0.6, 0.6, 0.4]
    emit("plateau_losses", losses)
    emit("plateau_rates", rates(lambda o: s.ReduceLROnPlateau(o, factor=0.5, patience=2), losses))


if __name__ == "__main__":
    print(f"# What PyTorch {torch.__version__.split('+')[0]} computes; printed by nn/tests/torch_constants.py.")
    activations()
    losses()
    normalisation()
    optimizers()
    schedules()
