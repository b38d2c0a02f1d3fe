"""Records that others published, read by their shape and judged by general rules.

A file is never recognised by its name, and no rule knows a dataset. What a rule says, how grave it is and why stands in
`docs/records.md`; the words that rules look for are data, in `lexicons/`.
"""

from curate.published.check import RULES, check_records
from curate.published.report import FileReport, Finding, Report, RuleDoc, Severity

__all__ = ["RULES", "FileReport", "Finding", "Report", "RuleDoc", "Severity", "check_records"]
