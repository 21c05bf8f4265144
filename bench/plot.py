#!/usr/bin/env python3
# Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0
"""Draws the curves of overload as SVG files: plot.py bench/results/overload.json docs/plots. Standard library only."""
import json
import math
import pathlib
import sys

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 380, 70, 20, 40, 60
COLOURS = ("#0b62a4", "#d9480f", "#2b8a3e", "#862e9c", "#495057", "#c2255c")
MODES = {"heed": "Retry-After heeded", "ignore": "asked again at once"}
DASHES = {"heed": "", "ignore": ' stroke-dasharray="6 4"'}


class Axis:
    """From values to pixels, linear or logarithmic."""

    def __init__(self, low, high, begin, end, is_log):
        self.is_log, self.begin, self.end = is_log, begin, end
        self.low, self.high = self._scale(low), self._scale(high)

    def _scale(self, value):
        return math.log10(value) if self.is_log else value

    def at(self, value):
        share = (self._scale(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)


class Plot:
    def __init__(self, title, x_label, y_label, x, x_ticks, y, y_ticks):
        self.x, self.y = x, y
        self.n_lines = 0
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            f'<text x="{LEFT}" y="22" font-size="15">{title}</text>',
            f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 18}" text-anchor="middle">{x_label}</text>',
            f'<text x="16" y="{(TOP + HEIGHT - BOTTOM) / 2}" text-anchor="middle" '
            f'transform="rotate(-90 16 {(TOP + HEIGHT - BOTTOM) / 2})">{y_label}</text>']
        for value in y_ticks:
            at = y.at(value)
            self.parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#dee2e6"/>'
                              f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
        for value in x_ticks:
            at = x.at(value)
            self.parts.append(f'<path d="M{at:.1f} {HEIGHT - BOTTOM}v5" stroke="black"/>'
                              f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g} ×</text>')
        self.parts.append(f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="black"/>')

    def line(self, label, points, colour, dash=""):
        path = " ".join(f"{self.x.at(a):.1f},{self.y.at(b):.1f}" for a, b in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        self.parts += [f'<circle cx="{self.x.at(a):.1f}" cy="{self.y.at(b):.1f}" r="3" fill="{colour}"/>' for a, b in points]
        if label:
            y = TOP + 8 + 15 * self.n_lines
            self.n_lines += 1
            self.parts.append(f'<path d="M{WIDTH - 250} {y}h24" stroke="{colour}" stroke-width="2"{dash}/>'
                              f'<text x="{WIDTH - 220}" y="{y + 4}">{label}</text>')

    def write(self, path):
        path.write_text("\n".join([*self.parts, "</svg>"]) + "\n")


def x_axis(times):
    return Axis(min(times), max(times), LEFT, WIDTH - RIGHT, True)


def of(found, mode):
    return [run for run in found if run["mode"] == mode]


def draw_goodput(found, times, path):
    top = 1.4
    ticks = (0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)
    plot = Plot("Answered, as a share of the capacity", "asked for, in multiples of the capacity", "share of the capacity", x_axis(times), times,
                Axis(0, top, HEIGHT - BOTTOM, TOP, False), ticks)
    plot.line("", [(min(times), 0.8), (max(times), 0.8)], "#adb5bd", ' stroke-dasharray="2 3"')
    for mode, label in MODES.items():
        plot.line(label, [(run["times"], run["ratio"]) for run in of(found, mode)], COLOURS[0], DASHES[mode])
    plot.write(path)


def draw_latency(found, times, path):
    probes = found[0].get("probes", ("/healthz", "/admin/reload"))
    lines = (("answered p50", "answered_p50"), ("answered p99", "answered_p99"),
             *((f"{name} p99", f"probe{i}_p99") for i, name in enumerate(probes)))
    highest = max(max(run[name] for _, name in lines) for run in found)
    decades = [10 ** n for n in range(-1, math.ceil(math.log10(max(highest, 200))) + 1)]
    plot = Plot("How long they wait", "asked for, in multiples of the capacity", "milliseconds", x_axis(times), times,
                Axis(decades[0], decades[-1], HEIGHT - BOTTOM, TOP, True), decades)
    plot.line("", [(min(times), 100), (max(times), 100)], "#adb5bd", ' stroke-dasharray="2 3"')
    for mode, text in MODES.items():
        for (label, name), colour in zip(lines, COLOURS):
            points = [(run["times"], max(run[name], decades[0])) for run in of(found, mode)]
            plot.line(label if mode == "heed" else "", points, colour, DASHES[mode])
    plot.write(path)


def main():
    source, folder = map(pathlib.Path, sys.argv[1:3])
    found = json.loads(source.read_text())
    times = sorted({run["times"] for run in found})
    folder.mkdir(parents=True, exist_ok=True)
    draw_goodput(found, times, folder / "overload-goodput.svg")
    draw_latency(found, times, folder / "overload-latency.svg")


if __name__ == "__main__":
    main()
