"""What an error is in HTTP."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from examples.litestar_app.database import VoucherUsedError
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.exceptions.responses import create_exception_response

import wfcore

_log = logging.getLogger(__name__)
STATUSES: Mapping[type[Exception], int] = MappingProxyType(
    {
        wfcore.InstanceNotFoundError: 404,
        wfcore.IllegalTransitionError: 409,  # an event for an instance that has ended
        VoucherUsedError: 409,
        ValidationException: 422,  # 400, if Litestar were left alone
        wfcore.CodecError: 422,
        wfcore.StepNameError: 422,  # of an id that cannot be one
        wfcore.ContentionError: 503,
        wfcore.StoreUnavailableError: 503,
    }
)


def refuse(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer with the status of the error's class. What a database says is for the log alone."""
    status = next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)
    if status == 503:
        _log.warning("%s %s: %s", request.method, request.url.path, error)
        refusal = HTTPException(status_code=status, detail="busy; try again", headers={"Retry-After": "1"})
    elif isinstance(error, HTTPException):
        refusal = HTTPException(status_code=status, detail=error.detail, extra=error.extra)
    else:
        refusal = HTTPException(status_code=status, detail=str(error))
    return create_exception_response(request, refusal)
