"""Prints nn/tests/torch_images.txt: what PyTorch computes, in f64, for the tests of convolutions, pooling, resizing and local
response normalisation. A line is a name, an equals sign and numbers: of each case the operands `x`, `w` and the weights `c` of
the sum that is differentiated, and the results `y`, `dx`, `dw`.

    python nn/tests/torch_images.py > nn/tests/torch_images.txt
"""

import torch
import torch.nn.functional as F

from torch_constants import emit, wave


def emit_case(name, f, *shapes, digits=3):
    operands = [wave(shape, 0.3 + i).round(decimals=digits).requires_grad_() for i, shape in enumerate(shapes)]
    y = f(*operands)
    c = wave(list(y.shape), 2.5)
    (y * c).sum().backward()
    for letter, operand in zip("xw", operands):
        emit(f"{name}.{letter}", operand.detach())
    emit(f"{name}.c", c)
    emit(f"{name}.y", y.detach())
    for letter, operand in zip("xw", operands):
        emit(f"{name}.d{letter}", operand.grad)


def convolutions():
    emit_case("conv1d", lambda x, w: F.conv1d(x, w, stride=2, padding=1, dilation=2), [2, 3, 9], [4, 3, 3])
    emit_case("same", lambda x, w: F.conv2d(x, w, padding="same", dilation=(1, 2)), [1, 2, 5, 6], [3, 2, 2, 3])
    emit_case("groups", lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 0), groups=2), [2, 4, 5, 4], [6, 2, 3, 2])
    emit_case("depthwise", lambda x, w: F.conv2d(x, w, padding=1, groups=3), [1, 3, 4, 5], [6, 1, 3, 3])
    emit_case(
        "transpose",
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=1, groups=2),
        [2, 4, 3, 2],
        [4, 3, 3, 3],
    )
    emit_case("dilated", lambda x, w: F.conv_transpose2d(x, w, stride=3, dilation=2), [1, 2, 3, 2], [2, 2, 2, 3])


def pooling():
    # With one digit and none there are ties.
    emit_case("max", lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), [2, 2, 6, 5], digits=0)
    emit_case("max_tiles", lambda x: F.max_pool2d(x, 2), [1, 3, 7, 6], digits=0)
    emit_case("avg", lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), [1, 2, 6, 5])
    emit_case(
        "avg_excluded",
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        [1, 2, 6, 5],
    )
    emit_case("avg_tiles", lambda x: F.avg_pool2d(x, 2), [1, 2, 4, 6])
    emit_case("adaptive", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), [2, 2, 7, 5])
    emit_case("adaptive_tiles", lambda x: F.adaptive_avg_pool2d(x, (3, 2)), [1, 2, 6, 4])


def resizing():
    x = [1, 2, 3, 4]
    emit_case("nearest", lambda x: F.interpolate(x, size=(6, 12), mode="nearest"), x)
    emit_case("nearest_odd", lambda x: F.interpolate(x, size=(7, 3), mode="nearest"), x)
    emit_case("bilinear", lambda x: F.interpolate(x, size=(7, 8), mode="bilinear", align_corners=False), x)
    emit_case("bilinear_aligned", lambda x: F.interpolate(x, size=(7, 3), mode="bilinear", align_corners=True), x)
    emit_case("linear", lambda x: F.interpolate(x, size=9, mode="linear", align_corners=False), [2, 1, 4])


def response():
    for size in [3, 4]:
        emit_case(
            f"response{size}",
            lambda x: F.local_response_norm(x, size, alpha=0.3, beta=0.75, k=2.0),
            [2, 5, 2, 3],
        )


if __name__ == "__main__":
    print(f"# What PyTorch {torch.__version__.split('+')[0]} computes; printed by nn/tests/torch_images.py.")
    convolutions()
    pooling()
    resizing()
    response()
