"""`make bench-peers` in parts: what is measured is added to what the same machine measured before."""

import pytest

from benchmarks.load.client_process import LoadResult
from benchmarks.peers.entries import TRITON
from benchmarks.peers.report import page, summary, tables
from benchmarks.peers.results import MachineResults, ResultsFile, ServerResult

SETTING = "2026-11-29, 2 cores of A, Python 3.11.7, grpcio 1.85.1; load by h2load."


def load(rate: float) -> LoadResult:
    return LoadResult(rate, *[1e6 / rate] * 6)


def measured(**rates: dict[int, float]) -> MachineResults:
    """Calls a second by round, of one image with 4×32 in flight, of `digits` and `triton`."""
    names = {"digits": "digits, envoy front", "triton": TRITON}
    loads = {
        ("saturated", names[name], 1, "4×32"): {number: load(rate) for number, rate in rounds.items()}
        for name, rounds in rates.items()
    }
    return MachineResults(SETTING, loads)


def test_a_ratio_is_of_figures_of_the_same_round():
    """The machine was twice as fast in round 3, and one of them was not measured in rounds 1 and 2."""
    results = measured(digits={2: 900.0, 3: 400.0}, triton={1: 100.0, 3: 200.0})
    digits, triton = (results.best("saturated", name, 1) for name in results.server_names("saturated"))
    assert results.ratio(digits, triton) == 2
    assert results.ratio(digits, None) is None
    assert measured(digits={1: 1.0}, triton={2: 1.0}).ratio(digits, triton) is None
    assert results.next_round() == 4


def test_a_later_run_goes_on_where_the_machine_and_the_versions_are_the_same(tmp_path):
    """On another day; another processor, or other versions, begin anew, and what is there stays."""
    file = ResultsFile(tmp_path / "peers.json")
    results = file.of(SETTING)
    results.loads |= measured(digits={1: 250.0}, triton={1: 100.0}).loads
    results.servers["digits"] = [ServerResult(0.5, 2, 60.0, 80.0)]
    results.floors["large", 32] = [9.5]
    results.others.append(0.25)
    results.left_out["Other"] = "it ended with 1:\nits log"
    file.write()
    again = ResultsFile(tmp_path / "peers.json")
    later = SETTING.replace("29", "30")
    found = again.of(later)
    assert (found.setting, found.next_round()) == (later, 2)
    assert [getattr(found, name) for name in ("loads", "servers", "floors", "others", "left_out")] == [
        getattr(results, name) for name in ("loads", "servers", "floors", "others", "left_out")
    ]
    for other in (SETTING.replace("of A", "of B"), SETTING.replace("1.85.1", "1.86.0")):
        assert again.of(other).next_round() == 1
    again.write()
    assert len(ResultsFile(tmp_path / "peers.json").machines) == 3


def test_tables_have_the_processes_of_each_row_multiples_of_triton_and_what_is_missing():
    results = measured(digits={1: 300.0}, triton={1: 100.0})
    digits = "digits, envoy front"
    results.loads["saturated", digits, 256, "2×4"] = {1: load(20.0)}
    results.loads["saturated", TRITON, 256, "2×4"] = {1: load(40.0)}
    for name, rate in ((digits, 2000.0), (TRITON, 1000.0)):
        results.loads["saturated", name, 1, "1×1"] = {1: load(10.0)}
        results.loads["rates", name, 1, "1,000/s"] = {1: load(rate)}
    results.servers[digits] = [ServerResult(0.5, 2, 60.0, 80.0, 70.0, 90.0)]
    results.left_out["Other"] = "it ended with 1:\nits log"
    saturated, rates, alone = tables(results)
    assert saturated.rows[0] == [digits, "2", "300 (4×32)", "3.00×", "5,120 (2×4)", "0.50×"]
    assert "Left out: Other. it ended with 1:" in saturated.notes
    assert rates.rows[0] == [digits, "2", "1,000", "500 µs", "0.50×", "500 µs", "0.50×", "500 µs", "0.50×"]
    memory = ["60 MiB", "70 MiB", "80 MiB", "90 MiB"]
    assert alone.rows[0] == [digits, "2", "100.0 ms", "100.0 ms", "0.50 s", *memory]
    assert summary([results]).rows == [[digits, "2 cores of A", "0.50× (calls of 256 images)", "3.00× (1 image)"]]
    assert page([results]).count("\n# 2 cores of A\n") == 1


@pytest.mark.parametrize("part", ["rest", "large"])
def test_what_was_not_measured_has_no_table(part):
    assert not [table for table in tables(measured(digits={1: 1.0}, triton={1: 1.0})) if part in table.title]
