import pytest

from benchmarks.wrk import Load, NoResultError, read

PRINTED = """\
Running 3s test @ https://127.0.0.1:19445/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms    1.19ms  21.77ms   90.99%
    Req/Sec    37.98k     3.21k   42.18k    82.76%
  Latency Distribution
     50%  816.00us
     75%    1.05ms
     90%    1.47ms
     99%    4.36ms
  110140 requests in 3.00s, 16.81MB read
{errors}Requests/sec:  36713.33
Transfer/sec:      5.60MB
"""


def test_figures_are_read_in_seconds() -> None:
    assert read(PRINTED.format(errors="")) == Load(110140, 3.0, 816e-6, 4.36e-3)


def test_rate_is_requests_per_second() -> None:
    assert Load(300, 2.0, 0.001, 0.002).rate == 150


@pytest.mark.parametrize(
    "line",
    [
        "  Non-2xx or 3xx responses: 3\n",
        "  Socket errors: connect 0, read 12, write 0, timeout 0\n",
    ],
)
def test_a_run_with_failed_requests_is_no_result(line: str) -> None:
    with pytest.raises(NoResultError, match=line.strip()):
        read(PRINTED.format(errors=line))


def test_a_run_without_requests_is_no_result() -> None:
    text = PRINTED.format(errors="").replace("110140 requests", "0 requests")
    with pytest.raises(NoResultError, match="no request was answered"):
        read(text)


def test_text_without_figures_is_no_result() -> None:
    with pytest.raises(NoResultError, match="unable to connect"):
        read("unable to connect to 127.0.0.1:1 Connection refused")
