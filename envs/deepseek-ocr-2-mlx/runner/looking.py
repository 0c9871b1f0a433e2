"""The image as the language model takes it: a row of numbers for each of its tokens."""


def look(reader, pictures):
    """Return the features of pictures, shaped tokens by width, and the mark behind them."""
    import mlx.core as mx

    model = reader.model
    features = []
    for picture in pictures:
        values = pixels(picture, reader.dtype)
        sam = model.sam_model(values)
        vision = model.vision_model(values, sam)
        projected = model.projector(vision)
        mx.eval(projected)
        reader.keep("sam", sam.transpose(0, 3, 1, 2))
        reader.keep("vision", vision)
        reader.keep("projector", projected)
        features.append(projected[0])
    return mx.concatenate([*features, model.view_separator[None]])


def pixels(picture, dtype):
    """Return a picture with values from -1 to 1, channels last."""
    import mlx.core as mx
    import numpy as np

    values = mx.array(np.asarray(picture)).astype(mx.float32) / 255
    return ((values - 0.5) / 0.5)[None].astype(dtype)
