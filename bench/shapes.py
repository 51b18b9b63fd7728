"""The task events that Ray 2.60 posts, as templates: key by key, in Ray's order, with its JSON separators."""

SESSION = "session_2026-11-23_02-43-27_490622_12278"

_HEAD = (
    '{"eventId": "%s", "sourceType": "CORE_WORKER", "eventType": "KIND", "timestamp": "%s", '
    '"severity": "INFO", "sessionName": "' + SESSION + '", '
)
_TAIL = '"nodeId": "%s", "message": ""}'

# event id, time, task, function, its hash, name, job, parent task, runtime environment, attempt, reporter
TASK_DEFINITION = (
    _HEAD.replace("KIND", "TASK_DEFINITION_EVENT")
    + '"taskDefinitionEvent": {"taskId": "%s", "taskFunc": {"pythonFunctionDescriptor": {"moduleName": '
    '"pipeline.stages", "functionName": "%s", "functionHash": "%s", "className": ""}}, "taskName": "%s", '
    '"requiredResources": {"CPU": 1.0}, "jobId": "%s", "parentTaskId": "%s", "placementGroupId": '
    '"////////////////////////", "serializedRuntimeEnv": "%s", "taskAttempt": %d, "taskType": "NORMAL_TASK", '
    '"language": "PYTHON", "refIds": {}, "labelSelector": {}, "isDetachedActor": false}, ' + _TAIL
)
# event id, time, task, class, name, job, actor, parent task, runtime environment, reporting node
ACTOR_TASK_DEFINITION = (
    _HEAD.replace("KIND", "ACTOR_TASK_DEFINITION_EVENT")
    + '"actorTaskDefinitionEvent": {"taskId": "%s", "actorFunc": {"pythonFunctionDescriptor": {"moduleName": '
    '"pipeline.actors", "className": "%s", "functionName": "step", "functionHash": ""}}, '
    '"actorTaskName": "%s", '
    '"requiredResources": {}, "jobId": "%s", "actorId": "%s", "parentTaskId": "%s", "placementGroupId": '
    '"////////////////////////", "serializedRuntimeEnv": "%s", "isDetachedActor": false, "taskAttempt": 0, '
    '"language": "PYTHON", "refIds": {}, "labelSelector": {}}, ' + _TAIL
)
# event id, time, task, transitions, one of the endings below, reporting node
LIFECYCLE = (
    _HEAD.replace("KIND", "TASK_LIFECYCLE_EVENT")
    + '"taskLifecycleEvent": {"taskId": "%s", "stateTransitions": [%s], %s}, '
    + _TAIL
)
STATE = '{"state": "%s", "timestamp": "%s"}'
UNPLACED = '"jobId": "%s", "taskAttempt": %d, "nodeId": "", "workerId": "", "workerPid": 0'
PLACED = '"nodeId": "%s", "workerId": "%s", "jobId": "%s", "taskAttempt": %d, "workerPid": 0'
FAILED = '"rayErrorInfo": {"errorMessage": "%s", "errorType": "TASK_EXECUTION_EXCEPTION"}, ' + PLACED
RUNNING = (
    '"workerPid": %d, "jobId": "%s", "taskLogInfo": {"stdoutFile": "%s.out", "stderrFile": "%s.err", '
    '"stdoutStart": "%d", "stdoutEnd": "%d", "stderrStart": "%d", "stderrEnd": "%d"}, "taskAttempt": %d, '
    '"nodeId": "", "workerId": ""'
)
ACTOR_RUNNING = '"workerPid": %d, "jobId": "%s", "taskAttempt": 0, "nodeId": "", "workerId": ""'
# function, pid, address, line, function, shard
ERROR = (
    'ray::%s() (pid=%d, ip=%s)\\n  File \\"/srv/app/pipeline/stages.py\\", line %d, in %s\\n'
    '    raise ValueError(f\\"shard {shard} is empty\\")\\nValueError: shard %d is empty'
)
# event id, time, task, job, worker, address, 4 times (start, end), full name, task (hex), name, attempt, node
PROFILE = (
    _HEAD.replace("KIND", "TASK_PROFILE_EVENT")
    + '"taskProfileEvents": {"taskId": "%s", "jobId": "%s", "profileEvents": {"componentType": "worker", '
    '"componentId": "%s", "nodeIpAddress": "%s", "events": ['
    '{"startTime": "%d", "endTime": "%d", "extraData": "{}", "eventName": "task:deserialize_arguments"}, '
    '{"startTime": "%d", "endTime": "%d", "extraData": "{}", "eventName": "task:execute"}, '
    '{"startTime": "%d", "endTime": "%d", "extraData": "{}", "eventName": "task:store_outputs"}, '
    '{"startTime": "%d", "endTime": "%d", "extraData": "{\\"name\\": \\"%s\\", \\"task_id\\": \\"%s\\"}", '
    '"eventName": "task::%s"}]}, "attemptNumber": %d}, ' + _TAIL
)
