import pytest

from benchmarks.sipp import Load, NoResultError, read

SCREEN = """
  Call Rate              |    0.000 cps              |  {rate} cps
  Successful call        |        0                  |     {successful}
  Failed call            |        0                  |     {failed}
"""


def test_last_statistics_count() -> None:
    first = SCREEN.format(rate="1.000", successful=3, failed=0)
    last = SCREEN.format(rate="657.462", successful=2000, failed=1)
    assert read(first + last) == Load(2000, 1, 657.462)


@pytest.mark.parametrize(("successful", "failed"), [(100, 1), (0, 0)])
def test_many_failed_calls_are_no_result(successful: int, failed: int) -> None:
    with pytest.raises(NoResultError, match=f"{failed} calls failed"):
        read(SCREEN.format(rate="1.0", successful=successful, failed=failed))


def test_output_without_statistics_is_no_result() -> None:
    with pytest.raises(NoResultError, match="no figures"):
        read("usage: sipp")
