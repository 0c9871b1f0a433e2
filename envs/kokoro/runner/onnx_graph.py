"""Kokoro's network with its convolutions in float32: they are twice as fast as those in int8.

The network is published with int8 weights. onnxruntime computes int8 convolutions by a slow path;
here each becomes a plain one, whose weights become float32 when the session loads them. The file
is read as protocol buffers, with the few fields that matter; all others stay as they are.
"""

from collections import defaultdict

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

STRINGS, MESSAGES = 9, 11  # numbers of types in protocol buffers
ONE, MANY = 1, 3
FIELDS = {  # of onnx.proto: name, number, label, type
    "Model": [("graph", 7, ONE, "Graph")],
    "Graph": [("node", 1, MANY, "Node"), ("output", 12, MANY, "Value")],
    "Value": [("name", 1, ONE, STRINGS)],
    "Node": [
        ("input", 1, MANY, STRINGS),
        ("output", 2, MANY, STRINGS),
        ("op_type", 4, ONE, STRINGS),
    ],
}


def with_float_convolutions(model):
    """Returns an ONNX model, as bytes, whose ConvInteger nodes have become Conv nodes."""
    model = message_class().FromString(model)
    graph = model.graph
    maker = {name: node for node in graph.node for name in node.output}
    users = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    weights = [
        make_float(node, maker, users) for node in graph.node if node.op_type == "ConvInteger"
    ]
    kept = needed(graph)
    del graph.node[:]
    graph.node.extend([*weights, *kept])
    return model.SerializeToString()


def make_float(node, maker, users):
    """Changes a ConvInteger into a Conv, and returns the node that makes its weights float.

    Each is followed by Cast and Mul, which make numbers of its whole numbers, and many by an Add
    before these, of a bias that was divided by the same scale.
    """
    quantized, weight, _, zero = node.input
    inputs = [maker[quantized].input[0], f"{weight}_as_float"]
    (after,) = users[node.output[0]]
    if after.op_type == "Add":
        bias = after.input[1]
        for _ in ("Reshape", "Cast", "Floor", "Div"):
            bias = maker[bias].input[0]
        inputs.append(bias)
        (after,) = users[after.output[0]]
    (scaled,) = users[after.output[0]]
    if (after.op_type, scaled.op_type) != ("Cast", "Mul"):
        raise ValueError(f"the network has {after.op_type}, {scaled.op_type} after a convolution")
    node.op_type = "Conv"
    node.output[0], scaled.output[0] = scaled.output[0], f"{scaled.output[0]}_unused"
    del node.input[:]
    node.input.extend(inputs)
    scale = weight.removesuffix("_quantized") + "_scale"
    return type(node)(op_type="DequantizeLinear", input=[weight, scale, zero], output=[inputs[1]])


def needed(graph):
    """Returns the nodes on which an output of the graph depends."""
    nodes = list(graph.node)
    while True:
        used = {name for node in nodes for name in node.input} | {o.name for o in graph.output}
        kept = [node for node in nodes if used.intersection(node.output)]
        if len(kept) == len(nodes):
            return [type(node).FromString(node.SerializeToString()) for node in kept]
        nodes = kept


def message_class():
    """Returns the class of ONNX models with the fields that are needed here."""
    file = descriptor_pb2.FileDescriptorProto(name="kokoro/onnx.proto", package="kokoro")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, label, kind in fields:
            message.field.add(
                name=field,
                number=number,
                label=label,
                type=MESSAGES if isinstance(kind, str) else kind,
                type_name=f".kokoro.{kind}" if isinstance(kind, str) else None,
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("kokoro.Model"))
