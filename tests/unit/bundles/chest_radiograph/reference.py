"""FCOS's assignment, losses and average precision, written from the papers, one number at a time."""

import math

STRIDES = (8, 16, 32, 64, 128)


def points(rows: int, columns: int) -> list[tuple[float, float, int]]:
    """(x, y, level) of every location, by level, row, column."""
    return [
        (stride / 2 + column * stride, stride / 2 + row * stride, level)
        for level, stride in enumerate(STRIDES)
        for row in range(math.ceil(rows / stride))
        for column in range(math.ceil(columns / stride))
    ]


def assigned(
    boxes: list[list[float]], place: tuple[float, float, int], limits: tuple[float, ...], radius: float
) -> int:
    """Index of the box that one location takes, -1 for none."""
    x, y, level = place
    low, high = (0.0, *limits)[level], (*limits, math.inf)[level]
    best, best_area = -1, math.inf
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        sides = (x - x0, y - y0, x1 - x, y1 - y)
        reach = radius * STRIDES[level]
        near = abs(x - (x0 + x1) / 2) < reach and abs(y - (y0 + y1) / 2) < reach
        size = (x1 - x0) * (y1 - y0)
        if min(sides) > 0 and near and low < max(sides) <= high and size < best_area:
            best, best_area = index, size
    return best


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def cross_entropy(logit: float, truth: float) -> float:
    p = sigmoid(logit)
    return -truth * math.log(p) - (1 - truth) * math.log(1 - p)


def focal(logit: float, truth: int, alpha: float = 0.25, gamma: float = 2.0) -> float:
    p = sigmoid(logit)
    if truth:
        return -alpha * (1 - p) ** gamma * math.log(p)
    return -(1 - alpha) * p**gamma * math.log(1 - p)


def giou(first: list[float], second: list[float]) -> float:
    def area(box: list[float]) -> float:
        return (box[2] - box[0]) * (box[3] - box[1])

    width = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    height = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    union = area(first) + area(second) - width * height
    hull = area([*map(min, first[:2], second[:2]), *map(max, first[2:], second[2:])])
    return width * height / union - (hull - union) / hull


def centreness(left: float, up: float, right: float, down: float) -> float:
    return math.sqrt(min(left, right) / max(left, right) * min(up, down) / max(up, down))


def losses(
    outputs: dict, boxes: list, classes: list, *, labels: list, known: list, size: tuple, limits, radius
) -> dict:
    """The four terms for lists of numbers; outputs as nested lists, batch first."""
    places = points(*size)
    total = {"classes": 0.0, "boxes": 0.0, "centre": 0.0}
    found, central_sum = 0, 0.0
    for image in range(len(boxes)):
        for at, place in enumerate(places):
            index = assigned(boxes[image], place, limits, radius)
            for kind, logit in enumerate(outputs["classes"][image][at]):
                if known[image][kind]:
                    total["classes"] += focal(logit, int(index >= 0 and classes[image][index] == kind))
            if index < 0:
                continue
            x, y, _ = place
            x0, y0, x1, y1 = boxes[image][index]
            central = centreness(x - x0, y - y0, x1 - x, y1 - y)
            left, up, right, down = outputs["boxes"][image][at]
            total["boxes"] += central * (1 - giou([x - left, y - up, x + right, y + down], [x0, y0, x1, y1]))
            total["centre"] += cross_entropy(outputs["centre"][image][at], central)
            found, central_sum = found + 1, central_sum + central
    pairs = [
        (logit, label)
        for logits, row in zip(outputs["image"], labels, strict=True)
        for logit, label in zip(logits, row, strict=True)
        if label is not None
    ]
    return {
        "classes": total["classes"] / max(found, 1),
        "boxes": total["boxes"] / max(central_sum, 1),
        "centre": total["centre"] / max(found, 1),
        "image": sum(cross_entropy(*pair) for pair in pairs) / max(len(pairs), 1),
    }
