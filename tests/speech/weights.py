"""The tensors of a model of CTranslate2's, and those that the architecture of Whisper base has."""

import struct

import numpy as np

WIDTH, LAYERS, MELS, TOKENS = 512, 6, 80, 51865
POSITIONS = {"encoder": 1500, "decoder": 448}
"""Frames of a window of 30 s after the convolutions, and tokens of a text."""

KINDS = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def tensors(content):
    """Yield name and values of each tensor in a `model.bin` of Whisper; scalars are left out."""
    place = 0

    def take(form):
        nonlocal place
        found = struct.unpack_from(f"<{form}", content, place)
        place += struct.calcsize(f"<{form}")
        return found

    def text():
        return take(f"{take('H')[0]}s")[0].rstrip(b"\0").decode()

    _version, name, _revision = take("I"), text(), take("I")
    assert name == "WhisperSpec"
    for _ in range(*take("I")):
        name = text()
        shape = take(f"{take('B')[0]}I")
        kind, size = take("BI")
        if shape:
            values = np.frombuffer(content, KINDS[kind], offset=place, count=np.prod(shape))
            assert values.nbytes == size
            yield name, values.reshape(shape)
        place += size
    for _ in range(*take("I")):  # second names
        text(), text()
    assert place == len(content)


def architecture():
    """Return the shape of each tensor of Whisper base by name, as CTranslate2 joins them."""
    shapes = {
        "decoder/embeddings/weight": (TOKENS, WIDTH),
        "encoder/conv1/weight": (WIDTH, MELS, 3),
        "encoder/conv1/bias": (WIDTH,),
        "encoder/conv2/weight": (WIDTH, WIDTH, 3),
        "encoder/conv2/bias": (WIDTH,),
    }

    def norm(name):
        shapes.update({f"{name}/layer_norm/{part}": (WIDTH,) for part in ("beta", "gamma")})

    def block(name, *sizes):
        norm(name)
        for number, (rows, columns) in enumerate(sizes):
            linear = f"{name}/linear_{number}"
            shapes.update({f"{linear}/weight": (rows, columns), f"{linear}/bias": (rows,)})

    square = (WIDTH, WIDTH)
    for half, positions in POSITIONS.items():
        norm(half)
        shapes[f"{half}/position_encodings/encodings"] = (positions, WIDTH)
        for layer in (f"{half}/layer_{number}" for number in range(LAYERS)):
            block(f"{layer}/self_attention", (3 * WIDTH, WIDTH), square)
            block(f"{layer}/ffn", (4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH))
            if half == "decoder":
                block(f"{layer}/attention", square, (2 * WIDTH, WIDTH), square)
    return shapes
