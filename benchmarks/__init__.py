"""One script per question, against real peers or their rules in the same run."""
