"""The tests of the suite: classes without a common base, put together by ``wfcore.testing.conformance.suite``."""
