"""What the doors need to start and signal workflows, re-exported from the contracts."""

from activities.contracts import TASK_QUEUE, Decision, Delays, EnvelopeInput, ReturnArrived, Withdrawal

__all__ = ["TASK_QUEUE", "Decision", "Delays", "EnvelopeInput", "ReturnArrived", "Withdrawal"]
