"""The raw results of a report: JSON lines, one for each measurement, and medians of them.

The first line of a file tells of the machine. Each other one is a measurement: `case`, `server`,
`round`, and either `failed`, a sentence, or what chloe-bench printed. Used by the report alone.
"""

import json
import statistics


class Results:
    def __init__(self, machine, records):
        self.machine, self.records = machine, records

    @classmethod
    def read(cls, path):
        """Every line of the file. A line that was cut off, as by the end of the machine, is left out."""
        machine, records = {}, []
        for line in path.read_text().splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if "machine" in record:
                machine = record["machine"]
            else:
                records.append(record)
        return cls(machine, records)

    def servers(self, case):
        """Those with at least one figure for the case, in order of appearance."""
        names = [r["server"] for r in self.records if r["case"] == case and "failed" not in r]
        return list(dict.fromkeys(names))

    def values(self, case, server, figure):
        """The figure in each round that has one, as {round: value}."""
        found = {}
        for record in self.records:
            if record["case"] == case and record["server"] == server and "failed" not in record:
                value = figure(record)
                if value is not None:
                    found[record["round"]] = value
        return found

    def median(self, case, server, figure):
        """Its median over the rounds; None without any."""
        values = self.values(case, server, figure).values()
        return statistics.median(values) if values else None

    def ratio(self, case, server, other, figure, beside=None):
        """How many times the figure of `other`, in the case `beside` if not in the same, the one of `server` is.

        Each round is compared with itself, since the machine is not equally quiet in all; the
        median of these ratios is what counts.
        """
        ours, theirs = self.values(case, server, figure), self.values(beside or case, other, figure)
        ratios = [ours[r] / theirs[r] for r in ours if theirs.get(r)]
        return statistics.median(ratios) if ratios else None

    def failures(self):
        """What has no figure, as {server: {case: sentence}}."""
        failures = {}
        for record in self.records:
            if "failed" in record:
                cases = failures.setdefault(record["server"], {})
                cases[record["case"]] = record["failed"]
        return failures

    def rounds(self):
        """How many there were."""
        return len({r["round"] for r in self.records})

    def versions(self):
        """What each server said that it is."""
        return {r["server"]: r["version"] for r in self.records if r.get("version")}
