"""Medians and ratios of what was measured, as a table for people and as JSON to keep."""

import json
import os
import platform
import statistics

LIMIT, PEER = "null", "qemu"


class Results:
    def __init__(self, contenders):
        self.contenders = contenders
        self.values = {}  # (row, contender) -> [number]

    def add(self, row, contender, value):
        self.values.setdefault((row, contender), []).append(value)

    def median(self, row, contender):
        numbers = self.values.get((row, contender))
        return statistics.median(numbers) if numbers else None


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def verdict(row, ratios):
    wanted = [(row.of_limit, ratios[LIMIT]), (row.of_peer, ratios[PEER])]
    known = [(least, ratio) for least, ratio in wanted if least is not None and ratio is not None]
    if not known:
        return ""
    return "yes" if all(ratio >= least for least, ratio in known) else "no"


def table(rows, results):
    names = results.contenders
    head = ["work", "unit", *names, "of the limit", "wanted", "of the peer", "wanted", "reached"]
    lines = [head, ["---", "---", *["--:"] * (len(head) - 2)]]
    for row in rows:
        medians = {name: results.median(row.name, name) for name in names}
        if medians["flatimg"] is None:
            continue
        ratios = {name: row.ratio(medians["flatimg"], medians.get(name)) for name in (LIMIT, PEER)}
        lines.append([row.name, row.unit, *(number(medians[name]) for name in names),
                      number(ratios[LIMIT]), number(row.of_limit), number(ratios[PEER]), number(row.of_peer),
                      verdict(row, ratios)])  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine():
    with open("/proc/cpuinfo") as cpus:
        model = next((line.split(":")[1].strip() for line in cpus if line.startswith("model name")), "unknown")
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def as_json(rows, results, revision, rounds):
    measured = [
        {"row": row.name, "unit": row.unit, "contender": name, "values": results.values.get((row.name, name), [])}
        for row in rows
        for name in results.contenders
        if results.values.get((row.name, name))
    ]
    about = {"machine": machine(), "revision": revision, "rounds": rounds}
    return json.dumps({**about, "measured": measured}, indent=1)
