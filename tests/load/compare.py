"""Prints the medians of compare.sh's rounds, their ratios, and whether each ratio meets its target."""

import datetime
import glob
import json
import statistics
import sys

folder, profile, old_commit, new_commit = sys.argv[1:]
# the ratio of throughput that this change must reach
FASTER = 1.35 if profile == "postgres" else 1.25
FIGURES = [
    ("charges_per_s", "charges/s at saturation", ">=", FASTER),
    ("lives_per_s", "lives/s", ">=", FASTER),
    ("c1_p50_ms", "added p50 of one charge at a time, ms", "<=", 0.8),
    ("cpu_ms_per_charge", "CPU ms per charge, ours and PostgreSQL's for us", None, None),
    ("cpu_ms_per_life", "CPU ms per life, ours and PostgreSQL's for us", None, None),
    ("cpu_ms_per_delivery", "CPU ms per delivery, ours and PostgreSQL's for us", "<=", 0.5),
    ("deliveries_per_s", "deliveries/s", None, None),
]


def rounds(side):
    return [json.load(open(path)) for path in sorted(glob.glob(f"{folder}/{profile}-{side}-*.json"))]


old, new = rounds("old"), rounds("new")
print(f"# {old_commit} and {new_commit}, side by side\n")
print(f"Temporal: {profile}. {len(new)} rounds, alternating, {datetime.date.today()}. Medians; in parentheses the rounds.\n")
print("| | old | new | ratio | target | |\n| --- | --- | --- | --- | --- | --- |")
for name, title, relation, target in FIGURES:
    values = [[one[name] for one in side] for side in (old, new)]
    medians = [statistics.median(side) for side in values]
    ratio = medians[1] / medians[0] if medians[0] else float("nan")
    cells = ["{:.1f} ({})".format(m, ", ".join(f"{v:.1f}" for v in side)) for m, side in zip(medians, values)]
    met = {">=": target is not None and ratio >= target, "<=": target is not None and ratio <= target}.get(relation)
    verdict = "" if met is None else "met" if met else "**not met**"
    print(f"| {title} | {cells[0]} | {cells[1]} | {ratio:.2f} | {f'{relation} {target}' if relation else ''} | {verdict} |")
cpu = statistics.median(one["cpu_ms_per_charge"] for one in new)
print(f"\n- {'met' if cpu <= 4.5 else '**not met**'}: CPU ms per charge, ours and PostgreSQL's for us: {cpu:.1f} (at most 4.5)")
