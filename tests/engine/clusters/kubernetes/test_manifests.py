from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from openapi_schema_validator import OAS30Validator

from volproc.config.cluster import PoolOptions
from volproc.config.kubernetes import KubernetesOptions
from volproc.engine.clusters.kubernetes.manifests import (
    IDLE_TIMEOUT_S,
    Surroundings,
    dask_cluster,
)
from volproc.engine.clusters.pools import WorkerPool

dask_kubernetes = pytest.importorskip("dask_kubernetes")
CRDS = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator"
EVERYTHING = KubernetesOptions(
    image_pull_policy="Always",
    service_account="bucket-reader",
    environment_secret="volproc-bucket",
    volumes=("em-data:/data", "scratch:/scratch"),
    node_selector=("pool=spot", "cloud.google.com/gke-spot=true"),
    tolerations=("cloud.google.com/gke-spot=true:NoSchedule", "spot:NoExecute", "any"),
)
GPU = PoolOptions(
    **{"jobs": 4, "gpus_per_job": 1, "cores": 8, "memory_gb": 30, "queue": "team-a"},
    **{"constraint": "gpu=a100, zone=b", "local_directory": "/scratch"},
)
OWNER = {"apiVersion": "v1", "kind": "Pod", "name": "client-abc", "uid": "1-2"}


def made(options=EVERYTHING, pool=GPU, **around):
    around = Surroundings("lab", "volproc:0", **around)
    return dask_cluster("one", options, pool, WorkerPool(4, 28_500_000_000), around)


def strict(schema):
    """A schema that refuses what the API server would drop without a word."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items() if not key.startswith("x-")}
    closed = "x-kubernetes-preserve-unknown-fields" not in schema
    if found.get("type") == "object" and "properties" in found and closed:
        found.setdefault("additionalProperties", False)
    return found


@pytest.fixture(scope="module")
def operators_schema():
    text = (CRDS / "crds/daskcluster.yaml").read_text()
    schema = strict(
        yaml.load(text, yaml.CSafeLoader)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    )
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
    return OAS30Validator(schema)


def worker(cluster):
    return cluster["spec"]["worker"]["spec"]


def variables(pod):
    return {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}


@pytest.mark.parametrize(
    "cluster",
    [
        made(run="1a2b", owner=OWNER, security={"runAsUser": 1000, "fsGroup": 1000}),
        made(KubernetesOptions(), PoolOptions()),
    ],
)
def test_what_is_made_fits_the_operators_schema_and_kubernetes(cluster, operators_schema):
    assert [error.message for error in operators_schema.iter_errors(cluster)] == []
    for part in ("scheduler", "worker"):
        spec = cluster["spec"][part]["spec"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
        kubernetes_validate.validate(pod, "1.33", strict=True)
    service = cluster["spec"]["scheduler"]["service"]
    about = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "one"}, "spec": service}
    kubernetes_validate.validate(about, "1.33", strict=True)


def test_the_schema_used_here_refuses_what_it_does_not_know(operators_schema):
    cluster = made()
    worker(cluster)["containers"][0]["colour"] = "red"
    assert list(operators_schema.iter_errors(cluster))


def test_a_worker_has_the_resources_and_the_place_that_the_options_say():
    spec = worker(made())
    (container,) = spec["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "8", "memory": "30000M", "nvidia.com/gpu": "1"},
        "limits": {"memory": "30000M", "nvidia.com/gpu": "1"},
    }
    assert spec["nodeSelector"] == {
        **{"pool": "spot", "cloud.google.com/gke-spot": "true"},
        **{"gpu": "a100", "zone": "b"},
    }
    equal = {"operator": "Equal", "value": "true", "effect": "NoSchedule"}
    assert spec["tolerations"] == [
        {"key": "cloud.google.com/gke-spot", **equal},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute"},
        {"key": "any", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Exists"},
    ]
    labels = made()["spec"]["worker"]["metadata"]["labels"]
    assert labels == {"kueue.x-k8s.io/queue-name": "team-a"}
    words = " ".join(container["command"])
    assert "--nthreads 4 --memory-limit 28500000000" in words
    assert "--local-directory /scratch" in words


def test_pods_have_volprocs_settings_and_names_of_secrets_only():
    cluster = made()
    settings = variables(worker(cluster))
    assert settings["MALLOC_ARENA_MAX"] == "1"
    assert settings["OMP_NUM_THREADS"] == "8"
    assert settings["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] == "10"
    assert settings["DASK_SCHEDULER_ADDRESS"] == "tcp://one-scheduler.lab.svc:8786"
    scheduler = cluster["spec"]["scheduler"]["spec"]
    assert "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES" in variables(scheduler)
    for spec in (worker(cluster), scheduler):
        assert spec["containers"][0]["envFrom"] == [{"secretRef": {"name": "volproc-bucket"}}]
        assert spec["automountServiceAccountToken"] is False
        assert spec["serviceAccountName"] == "bucket-reader"
        assert spec["containers"][0]["image"] == "volproc:0"
        mounts = [one["mountPath"] for one in spec["containers"][0]["volumeMounts"]]
        assert mounts == ["/data", "/scratch"]


def test_the_dashboard_is_off_and_the_scheduler_inside_the_cluster_only():
    scheduler = made()["spec"]["scheduler"]
    assert "--no-dashboard" in scheduler["spec"]["containers"][0]["command"]
    assert scheduler["service"]["type"] == "ClusterIP"


def test_a_cluster_goes_with_its_client():
    owned = made(run="1a2b", owner=OWNER)
    assert owned["metadata"]["ownerReferences"] == [OWNER]
    assert owned["metadata"]["labels"] == {"volproc/run": "1a2b"}
    assert owned["spec"]["idleTimeout"] == IDLE_TIMEOUT_S > 0
    assert "ownerReferences" not in made()["metadata"]
