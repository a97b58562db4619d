"""Finds the best way of each contestant, and measures them in turns."""

import statistics
from typing import NamedTuple

from figures import Way


class Measurement(NamedTuple):
    way: Way
    rates: list  # images/s, one per round

    @property
    def median(self):
        return statistics.median(self.rates)


def best_way(contestant, figure, report):
    """The fastest way by brief measurements, one field at a time; None without this figure."""
    choices = contestant.choices(figure)
    if not choices:
        return None
    rates = {}

    def rate(way):
        if way not in rates:
            rates[way] = contestant.rate(figure, way, True)
            report(f"{contestant.describe()}, {figure}: {way}: about {rates[way]:.3g} images/s")
        return rates[way]

    best = Way(**{field: values[0] for field, values in choices.items()})
    for field, values in choices.items():
        best = max((best._replace(**{field: value}) for value in values), key=rate)
    return best


def best_ways(contestants, figures, report):
    """{(figure, contestant): Way}"""
    ways = {(figure, contestant): best_way(contestant, figure, report)
            for contestant in contestants for figure in figures}
    return {key: way for key, way in ways.items() if way}


def measure(ways, rounds, report):
    """{(figure, contestant): Measurement}, figure by figure, with the contestants in turns."""
    rates = {key: [] for key in ways}
    for n in range(rounds):
        for (figure, contestant), way in sorted(ways.items(), key=lambda item: item[0][0]):
            rates[figure, contestant].append(contestant.rate(figure, way))
            report(f"round {n + 1} of {rounds}: {contestant.describe()}, {figure}:"
                   f" {rates[figure, contestant][-1]:.3g} images/s")
    return {key: Measurement(way, rates[key]) for key, way in ways.items()}
