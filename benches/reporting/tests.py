"""Tests of the report's reading and writing: python3 benches/reporting/tests.py"""

import json
import pathlib
import re
import sys
import tempfile
import unittest
import xml.etree.ElementTree as xml

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cases  # noqa: E402
import document  # noqa: E402
import figures  # noqa: E402
import machine  # noqa: E402
import tables  # noqa: E402
from results import Results  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def record(case, server, number, us, **more):
    return {
        "case": case,
        "server": server,
        "round": number,
        "version": "1",
        "deliveries": 1_000,
        "deliveries_per_second": 1e6 / us,
        "server_cpu_us_per_delivery": us,
        "server_user_us_per_delivery": us / 10,
        "deliveries_per_server_cpu_second": 1e6 / us,
        "server_cpu_us_per_publication": us,
        "publications_per_second": 1e6 / us,
        "latency_us": {"p50": us, "p99": us, "p99_9": us, "max": us},
        "memory": {"proportional": {"before": 1 << 20, "after": 1 << 21, "each": us * 100}},
        "connect_cpu_us_each": 30.0,
        "lost": 0,
        "doubled": 0,
        "disordered": 0,
        **more,
    }


def every_case():
    """Three rounds of everything; the machine is half as fast in the second."""
    return [
        record(case.key, server, number, (place + 1.0) * (2 if number == 2 else 1))
        for case in cases.CASES
        for place, server in enumerate(case.servers)
        for number in (1, 2, 3)
    ]


class Reading(unittest.TestCase):
    def test_a_line_that_was_cut_off_is_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "report.jsonl")
            lines = [json.dumps({"machine": {"cores": 2}}), json.dumps(record("a", "chloe", 1, 2.0)), '{"case": "a", "se']
            path.write_text("\n".join(lines))
            results = Results.read(path)
        self.assertEqual(results.machine, {"cores": 2})
        self.assertEqual(results.servers("a"), ["chloe"])

    def test_ratios_are_of_the_same_round(self):
        rows = [record("a", "chloe", 1, 2.0), record("a", "chloe", 2, 20.0)]
        rows += [record("a", "ws", 1, 6.0), record("a", "ws", 2, 60.0), record("a", "ws", 3, 1.0)]
        results = Results({}, rows)
        self.assertEqual(results.ratio("a", "ws", "chloe", figures.us_a_delivery), 3.0)
        self.assertEqual(results.median("a", "ws", figures.us_a_delivery), 6.0)

    def test_two_cases_are_compared_round_by_round(self):
        rows = [record("a", "ws", 1, 3.0), record("b", "ws", 1, 2.0), record("a", "ws", 2, 30.0), record("b", "ws", 2, 20.0)]
        results = Results({}, rows)
        self.assertEqual(results.ratio("a", "ws", "ws", figures.us_a_delivery, beside="b"), 1.5)

    def test_what_failed_has_no_figure(self):
        failed = {"case": "a", "server": "ws", "round": 1, "failed": "no"}
        results = Results({}, [failed, record("a", "ws", 2, 5.0)])
        self.assertEqual(results.median("a", "ws", figures.us_a_delivery), 5.0)
        self.assertEqual(results.failures(), {"ws": {"a": "no"}})
        self.assertIsNone(Results({}, [failed]).median("a", "ws", figures.us_a_delivery))


class Tables(unittest.TestCase):
    def test_numbers(self):
        rows = [(None, "–"), (0, "0"), (0.0123, "0.012"), (1.25, "1.2"), (9.96, "10"), (12.6, "13")]
        rows += [(1234, "1,200"), (98765.4, "99,000")]
        for value, expected in rows:
            self.assertEqual(tables.number(value), expected, value)
        self.assertEqual(tables.number(123456, 3), "123,000")

    def test_the_best_comes_first_behind_the_limits(self):
        rows = [record("fanout-1000-4", server, 1, us) for server, us in [("ws", 9), ("limit-coalesced", 20), ("uws", 3)]]
        lines = tables.fanout(Results({}, rows), "fanout-1000-4")
        names = [line.split(" | ")[0] for line in lines[2:-1]]
        self.assertEqual(names, ["| *limit, pending coalesced*", "| uWebSockets (in node)", "| ws (in node)"])

    def test_faults_are_summed(self):
        rows = [record("fanout-1000-4", "ws", number, 9, lost=number, disordered=1) for number in (1, 2)]
        self.assertEqual(tables.faults(Results({}, rows), "fanout-1000-4", "ws"), "3, 0, 2")

    def test_rows_are_as_wide_as_their_head(self):
        lines = document.generated(Results(machine.facts(ROOT), every_case()))
        width = None
        for line in lines:
            width = None if not line.startswith("|") else width or line.count("|")
            if width:
                self.assertEqual(line.count("|"), width, line)


class Writing(unittest.TestCase):
    def test_what_is_written_by_hand_stays(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            path = root / "docs" / "benchmarks.md"
            path.parent.mkdir()
            path.write_text(f"before\n{document.BEGIN}\nwhat was there\n{document.END}\nafter\n")
            for _ in range(2):
                document.write(root, Results(machine.facts(ROOT), every_case()))
            text = path.read_text()
            drawn = (root / "docs" / "benchmarks.svg").read_text()
        self.assertTrue(text.startswith(f"before\n{document.BEGIN}\n"))
        self.assertTrue(text.endswith(f"{document.END}\nafter\n"))
        self.assertFalse("what was there" in text)
        xml.fromstring(drawn)

    def test_who_is_missing_is_named(self):
        rows = [record("fanout-1000-4", "chloe", 1, 2.0)]
        rows += [{"case": "fanout-1000-4", "server": "ws", "round": 1, "failed": "it is not here"}]
        text = "\n".join(document.generated(Results({}, rows)))
        self.assertIn("- ws (in node), 1,000 WebSockets, 4 in flight: it is not here", text)
        self.assertIn("- NATS: not measured", text)

    def test_the_document_has_its_marks(self):
        text = (ROOT / "docs" / "benchmarks.md").read_text()
        self.assertLess(text.index(document.BEGIN), text.index(document.END))

    def test_no_label_leaves_the_picture(self):
        pictures = document.draw(Results({}, every_case()))
        self.assertEqual(list(pictures), ["benchmarks.svg", "fanout.svg"])
        for drawn in pictures.values():
            width = float(re.search(r'width="(\d+)"', drawn).group(1))
            for x, text in re.findall(r'<text class="ours" x="([\d.]+)"[^>]*>([^<]*)', drawn):
                self.assertLess(float(x) + 9 * len(text), width)

    def test_a_share_is_told_beside_the_limit_that_was_measured(self):
        case = "fanout-1000-4"
        rows = [record(case, server, 1, us) for server, us in [("chloe", 2.0), ("ws", 8.0), ("limit-rolling-same", 1.0)]]
        results = Results({}, rows)
        self.assertEqual(tables.share(results, case, "chloe", "limit-rolling"), "50%")
        self.assertEqual(tables.share(results, case, "ws", "limit-rolling"), "12%")
        self.assertEqual(tables.share(results, case, "chloe", "limit-coalesced"), "–")
        rows += [record(case, "limit-coalesced", 1, 4.0), record(case, "limit-coalesced-same", 1, 5.0)]
        self.assertEqual(tables.share(results, case, "chloe", "limit-coalesced"), "200%; same bytes 250%")


class Peers(unittest.TestCase):
    def test_each_has_a_script_and_a_file(self):
        for server in cases.NAMES:
            if server in cases.LIMITS:
                continue
            self.assertTrue((ROOT / "benches" / "peers" / f"{server}.toml").exists(), server)
            if server != "chloe":
                self.assertTrue((ROOT / "benches" / "peers" / server).exists(), server)


if __name__ == "__main__":
    unittest.main()
