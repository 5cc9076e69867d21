"""The meaning of each error code, in a sentence. No I/O.

The API sends the sentence beside the code. The console translates by the code; its English is this table.
"""

import re
from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    "IdTaken": "Its id already belongs to another concept or roadmap.",
    "VersionTaken": "Its version already belongs to another text.",
    "InvalidContent": "The content does not have the required form.",
    "ConceptIdTooLong": "The concept's id is too long to be saved.",
    "RoadmapNotFound": "The roadmap does not exist any more.",
    "RoadmapLocked": "Another process held the roadmap for too long.",
    "InvalidFramework": "The roadmap's structure cannot be read.",
    "TokenBudgetExhausted": "The task has used its token budget.",
    "ModelRefusedRequest": "The model refused the request.",
    "ModelDeclined": "The model declined to write this content.",
    "ModelThrottled": "The model received more requests than its limit allows.",
    "ModelBusy": "The model was overloaded.",
    "AnswerLost": "The model's answer was lost on the way.",
    "ExecutionOver": "The run ended without recording an outcome, or never started.",
    "OutOfTime": "There was not enough time left in the run.",
    "ItemLocked": "Another run was still generating it.",
    "StagedContentGone": "The staged content was removed before it was saved.",
    "NotStaged": "There was no staged content to save.",
    "StaleAttempt": "A newer attempt has taken over.",
    "Cancelled": "The task was cancelled before its turn.",
    "NothingMissing": "Nothing was missing any more.",
    "RecoveryCancelled": "The recovery was cancelled before its turn.",
    "RecoveryStoppedByCanary": "The recovery stopped before its turn, because of its canary.",
    "RecoveryStoppedByBudget": "The recovery stopped before its turn, because of its token budget.",
    "AtWorkElsewhere": "The product's own workers are processing it.",
    "NotAtContentStage": "The task has not reached the content stage yet.",
    "ClaimRefused": "Another attempt was running.",
    "ChangedSince": "It has been changed since.",
    "RestoreRefused": "The database does not accept its former content, or its text does not exist any more.",
    "ItemNotFound": "Its former content was not found.",
    "NotReported": "The attempt ended without a result for it.",
    "NotRequested": "No attempt was started for it.",
    "AddedSince": "The concept was added after the attempt.",
    "InsufficientPrivilege": "The database refused the role of this system, or hid rows from it.",
    "DatabaseUnavailable": "The database could not be reached.",
    "StorageUnavailable": "The storage (S3) could not be reached.",
    "SecretUnavailable": "The database's password could not be read.",
    "ExecutionsUnavailable": "Step Functions could not be reached.",
    "MissingSetting": "A setting of the deployment is missing or invalid.",
    "BatchLost": "The function stopped before it reported this batch.",
    "Unexpected": "An unexpected error.",
    "Runtime.": "The function stopped before it reported this batch.",
    "Sandbox.": "The function exceeded its time limit.",
    "Lambda.": "The function could not be invoked.",
    "States.": "The run stopped before it reported this batch.",
    "08": "The connection to the database was lost.",
    "22": "A value is not valid for its column.",
    "23": "A rule of the database does not accept the content.",
    "23503": "A row that it refers to does not exist.",
    "23505": "Another row already has a value that must be unique.",
    "28": "The database did not accept the credentials.",
    "40": "It conflicted with another transaction.",
    "42": "The statement does not fit the database's schema.",
    "53": "The database had no resources left.",
    "54": "A value is too large for the database.",
    "55": "Another session held a lock for too long.",
    "57": "The database was restarting, or too slow.",
    "58": "The database's system failed.",
    "P0": "A trigger of the database does not accept the content.",
}
"""By code; an SQLSTATE also by its class, a code of the cloud by its prefix."""

WITHOUT_DATABASE = "What is generated stays staged, and runs wait or are tried again."
"""The work that goes on while the database does not answer."""


def sentence_of(error_code: str) -> str | None:
    """The sentence of a code; `None` for a code that is not in the table, such as one of a content check."""
    is_sqlstate = re.fullmatch("[0-9A-Z]{5}", error_code)
    general = error_code[:2] if is_sqlstate else f"{error_code.partition('.')[0]}."
    return SENTENCES.get(error_code) or SENTENCES.get(general)
