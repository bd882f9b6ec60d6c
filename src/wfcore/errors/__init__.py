"""Every error of wfcore, by blame; values only, no I/O.

::

    WfcoreError
    ├── WorkflowError          the author of a workflow has something to mend
    │   ├── WorkflowDefinitionError   the decorated function or its types
    │   ├── NonDeterminismError       the code does not fit the recorded history
    │   ├── ForeignAwaitError         workflow code awaited something that is not a step
    │   ├── StepNameError             a name that cannot be used in a key
    │   ├── StepBodyError             a body of the wrong shape
    │   ├── StepUsageError            a step handle used where it is not valid
    │   ├── UnawaitedStepError        a step was made and never awaited
    │   ├── UnknownWorkflowError      no such workflow in this registry
    │   └── SwallowedSuspensionError  workflow code caught the unwinding of a wait and returned
    ├── CommandError           the caller of a command
    │   ├── InstanceNotFoundError, InstanceExistsError, IllegalTransitionError, NoticePendingError,
    │   ├── StepNotRetryableError, RunNotFoundError, CursorError,
    │   └── InstanceFailedError, InstanceTerminatedError, NotFinishedError, ContentionError, UnknownEventTypeError
    ├── StoreError             the adapter or what is below it
    │   └── StoreUnavailableError, WriteFailedError, CorruptRecordError, SchemaVersionError, MissingCapabilityError
    └── CodecError             a payload: path, expected, found

    StepFailedError, EventTimeoutError            raised into workflow code
    StepInterruptedError                          the failure of an at-most-once attempt without a result
    NonRetryableError, RetryAfterError            raised by step bodies

Facts are fields; the text is made in ``__str__``; every error pickles.
"""

from wfcore.errors.author import (
    ForeignAwaitError,
    NonDeterminismError,
    StepBodyError,
    StepNameError,
    StepUsageError,
    SwallowedSuspensionError,
    UnawaitedStepError,
    UnknownWorkflowError,
    WorkflowDefinitionError,
    WorkflowError,
)
from wfcore.errors.base import WfcoreError
from wfcore.errors.caller import (
    CommandError,
    ContentionError,
    CursorError,
    IllegalTransitionError,
    InstanceExistsError,
    InstanceFailedError,
    InstanceNotFoundError,
    InstanceTerminatedError,
    NotFinishedError,
    NoticePendingError,
    RunNotFoundError,
    StepNotRetryableError,
    UnknownEventTypeError,
)
from wfcore.errors.inside import (
    EventTimeoutError,
    NonRetryableError,
    RetryAfterError,
    StepFailedError,
    StepInterruptedError,
)
from wfcore.errors.store import (
    CodecError,
    CorruptRecordError,
    MissingCapabilityError,
    SchemaVersionError,
    StoreError,
    StoreUnavailableError,
    WriteFailedError,
)

__all__ = [
    "CodecError",
    "CommandError",
    "ContentionError",
    "CorruptRecordError",
    "CursorError",
    "EventTimeoutError",
    "ForeignAwaitError",
    "IllegalTransitionError",
    "InstanceExistsError",
    "InstanceFailedError",
    "InstanceNotFoundError",
    "InstanceTerminatedError",
    "MissingCapabilityError",
    "NonDeterminismError",
    "NonRetryableError",
    "NotFinishedError",
    "NoticePendingError",
    "RetryAfterError",
    "RunNotFoundError",
    "SchemaVersionError",
    "StepBodyError",
    "StepFailedError",
    "StepInterruptedError",
    "StepNameError",
    "StepNotRetryableError",
    "StepUsageError",
    "StoreError",
    "StoreUnavailableError",
    "SwallowedSuspensionError",
    "UnawaitedStepError",
    "UnknownEventTypeError",
    "UnknownWorkflowError",
    "WfcoreError",
    "WorkflowDefinitionError",
    "WorkflowError",
    "WriteFailedError",
]
