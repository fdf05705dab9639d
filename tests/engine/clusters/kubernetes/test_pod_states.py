import pytest
from tests.engine.clusters.kubernetes.conftest import pod

from volproc.engine.clusters.kubernetes.pod_states import (
    is_leaving,
    operator_failures,
    why_none_runs,
)
from volproc.errors import VolprocError

OOM = {"reason": "OOMKilled", "exitCode": 137}


def why(*pods, complaints=(), pool="cpu"):
    return why_none_runs(pods, complaints, lambda name: f"{name} said\nthis", pool=pool)


def test_a_pool_says_why_its_pods_do_not_run():
    no_gpu = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    assert why(pod(node=no_gpu), pod(node=no_gpu), pod(ready=True), pool="gpu") == (
        "2 of 3 pods of [cluster.gpu] are not there yet: Unschedulable: 0/3 nodes are available: "
        "3 Insufficient nvidia.com/gpu"
    )
    assert "ContainerCreating" in why(pod(waiting=("ContainerCreating", "")))
    assert "the Dask operator has not made any" in why()
    assert "their workers have not connected" in why(pod(ready=True))


def test_a_quota_is_the_reason_where_no_pod_could_be_made():
    quota = "exceeded quota: few, used: pods=1"
    said = why(pod(kind="scheduler", ready=True), complaints=[quota])
    assert said == "no pod of [cluster.cpu] can be made: exceeded quota: few, used: pods=1"


@pytest.mark.parametrize(
    ("broken", "match"),
    [
        (
            pod(waiting=("ErrImagePull", "volproc:0: not found")),
            r"image volproc:0 cannot be pulled .*not found.*\[cluster\.kubernetes\] image",
        ),
        (
            pod(waiting=("CreateContainerConfigError", 'secret "keys" not found')),
            r'the worker pod pod cannot start .*secret "keys" not found.*\[cluster\.kubernetes\]',
        ),
        (
            pod(restarts=3, last={"reason": "Error", "exitCode": 3}),
            r"the worker pod pod ended 3 times, last with Error \(exit code 3\); its log ends: "
            "pod said this",
        ),
        (
            pod(restarts=4, last=OOM),
            r"ended 4 times, last with OOMKilled \(exit code 137\); give it more memory, "
            r"\[cluster\.cpu\] memory_gb",
        ),
        (
            pod(kind="scheduler", restarts=4, last=OOM),
            r"the scheduler pod .* \[cluster\.kubernetes\] scheduler_memory_gb",
        ),
    ],
)
def test_a_pod_that_will_never_run_is_an_error(broken, match):
    with pytest.raises(VolprocError, match=match):
        why(broken)


@pytest.mark.parametrize(
    "passing",
    [
        pod(waiting=("ErrImagePull", "dial tcp: i/o timeout")),
        pod(restarts=2, last=OOM),
        pod(ready=True, restarts=9, last=OOM),
        pod(waiting=("ErrImagePull", "not found"), metadata={"deletionTimestamp": "now"}),
    ],
)
def test_what_may_pass_is_waited_for(passing):
    assert "[cluster.cpu]" in why(passing)


def test_what_the_operator_cannot_make_is_an_error():
    said = 'Deployment.apps "one" is invalid: spec.template: Required value'
    with pytest.raises(VolprocError, match=r"refuses a field: .*spec\.template: Required value"):
        why(complaints=[said])


def test_the_operator_notes_at_a_cluster_what_it_failed_at():
    notes = {
        "kopf.zalando.org/a": '{"success": false, "message": "is forbidden"}',
        "kopf.zalando.org/b": '{"success": true, "message": "in the end"}',
        "kopf.zalando.org/c": '{"success": true, "failure": false}',
        "another": "text",
    }
    assert list(operator_failures({"metadata": {"annotations": notes}})) == ["is forbidden"]
    assert list(operator_failures({"metadata": {}})) == []


def test_a_pod_leaves_when_it_is_deleted_or_its_node_is_taken_away():
    disrupted = pod()
    disrupted["status"]["conditions"].append({"type": "DisruptionTarget", "status": "True"})
    assert is_leaving(disrupted)
    assert is_leaving(pod(metadata={"deletionTimestamp": "now"}))
    assert not is_leaving(pod(ready=True))
