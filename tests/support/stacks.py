"""Which running stack an end-to-end test uses: one of two that are shared, or one of its own file."""

# These tests need no stream that is live, so they share the stack that answers streams in pages. It starts every
# function for the sample events anyway, and the tests of the other stack run beside it.
_PAGED = (
    "tests/e2e/test_base_path.py",
    "tests/e2e/test_checkpoint_examples.py",
    "tests/e2e/test_client.py",
    "tests/e2e/test_command_line.py",
    "tests/e2e/test_commands.py",
    "tests/e2e/test_endpoint_examples.py",
    "tests/e2e/test_multi_run.py",
    "tests/e2e/test_run_card_examples.py",
    "tests/e2e/test_sample_events.py",
    "tests/e2e/test_secrets.py",
    "tests/e2e/test_viewers.py",
    "tests/e2e/test_webhook_endpoints.py",
)

_OWN = "tests/e2e/test_generated_requests.py"


def is_shared(node_id: str) -> bool:
    """Return whether a test uses a stack that the tests of several files share."""
    return node_id.startswith("tests/e2e/") and not node_id.startswith(_OWN)


def is_paged(node_id: str) -> bool:
    """Return whether a test uses the stack that answers streams in pages."""
    return node_id.startswith(_PAGED) or "[paged]" in node_id
