"""What mlx-vlm 0.7.10 computes in another way than the model's own code does."""


def repair():
    """Have mlx-vlm compute as the model's own code does; nothing fails without it.

    It resizes the vision encoder's tables of relative positions without aligning the centres of
    their rows, so that all global attention of a tile looks a sixth of a patch beside the place
    that is meant. And it chooses experts in the data type of the weights, not in float32: in
    bfloat16 two of a hundred tokens get others in each layer, with random weights.
    """
    import mlx.core as mx
    from mlx_vlm.models.deepseekocr import language, sam

    chosen = language.MoEGate.__call__

    def exactly(gate, values):
        experts, shares = chosen(gate, values.astype(mx.float32))
        return experts, shares.astype(values.dtype)

    sam.get_rel_pos = relative_positions
    language.MoEGate.__call__ = exactly


def relative_positions(queries, keys, table):
    """Return the vector for each pair of places on one side of a square, shaped queries by keys.

    Args:
        queries: How many places there are.
        keys: The same.
        table: A vector for each distance on the side that the model was made for.
    """
    import mlx.core as mx

    places = mx.arange(queries)
    return resized(table, queries + keys - 1)[places[:, None] - places + keys - 1]


def resized(table, rows):
    """Return a table with so many rows, interpolated as torch does with the mode linear."""
    import mlx.core as mx

    if len(table) == rows:
        return table
    places = (mx.arange(rows) + 0.5) * (len(table) / rows) - 0.5
    places = mx.clip(places, 0, len(table) - 1)
    below = mx.floor(places).astype(mx.int32)
    above = mx.minimum(below + 1, len(table) - 1)
    part = (places - below)[:, None]
    values = table.astype(mx.float32)
    return (values[below] * (1 - part) + values[above] * part).astype(table.dtype)
