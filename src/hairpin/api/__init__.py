"""The incoming half of the HTTP contract: REST and metrics over a view of the running server."""

from hairpin.api.app import create_app
from hairpin.api.feed import Feed
from hairpin.api.view import (
    Access,
    Control,
    Figures,
    Hooks,
    Interface,
    KernelDrops,
    Life,
    Probe,
    Refused,
    Trial,
    View,
    WorkerFigures,
)
from hairpin.api.wire import protocol

__all__ = [
    "Access",
    "Control",
    "Feed",
    "Figures",
    "Hooks",
    "Interface",
    "KernelDrops",
    "Life",
    "Probe",
    "Refused",
    "Trial",
    "View",
    "WorkerFigures",
    "create_app",
    "protocol",
]
