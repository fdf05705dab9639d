import sys
from dataclasses import replace

import pytest
from tests.engine.clusters.kubernetes.conftest import pod, use_kubeconfig

from volproc import ClusterOptions
from volproc.config.cluster import PoolOptions
from volproc.config.kubernetes import KubernetesOptions
from volproc.engine.clusters import kubernetes
from volproc.engine.clusters.kubernetes import KubernetesPools, run_digest, surroundings
from volproc.engine.clusters.kubernetes import workers as workers_file
from volproc.engine.clusters.kubernetes.api_server import ApiServer
from volproc.engine.clusters.kubernetes.manifests import Surroundings
from volproc.engine.events import BlockDone, StepStarted
from volproc.engine.protocol import Step
from volproc.errors import ConfigError, TransientError, VolprocError
from volproc.lease import Lease

IMAGE = KubernetesOptions(image="volproc:0")
OPTIONS = ClusterOptions(
    kind="kubernetes",
    cpu=PoolOptions(jobs=2, workers_per_job=2, memory_gb=20),
    gpu=PoolOptions(gpus_per_job=1, memory_gb=40, ask_ahead_minutes=3),
    kubernetes=IMAGE,
)
AROUND = Surroundings("lab", "volproc:0", "1a2b")


def step(*, on_gpu=False):
    return Step("step", None, (), "d", on_gpu=on_gpu)


@pytest.fixture
def pools(api):
    return KubernetesPools(OPTIONS, api, AROUND)


def test_a_step_has_the_pool_of_its_table(pools):
    cpu, gpu = pools.pool_for(step()), pools.pool_for(step(on_gpu=True))
    assert (cpu.table, cpu.threads, cpu.worker_bytes) == ("cpu", 1, 9_500_000_000)
    assert (gpu.table, gpu.threads, gpu.worker_bytes) == ("gpu", 4, 38_000_000_000)
    assert not gpu.can_do(cpu)
    assert pools.pool_for(None) == cpu
    assert pools.ask_ahead_s == 180


def test_without_a_gpu_table_steps_on_gpus_go_where_the_others_go(api):
    pools = KubernetesPools(OPTIONS.model_copy(update={"gpu": None}), api, AROUND)
    assert pools.pool_for(step(on_gpu=True)) == pools.pool_for(step())


def test_nothing_is_created_before_a_pool_is_needed_and_all_is_deleted(pools, fake):
    pools.require_possible()
    assert [dry for dry, _ in fake.created] == ["All", "All"]
    assert pools.usual.for_step(step(on_gpu=True)).threads == 4
    assert len(fake.created) == 2
    pools.started(pools.pool_for(step(on_gpu=True)))
    (dry, cluster) = fake.created[-1]
    assert (dry, cluster["spec"]["worker"]["replicas"]) == ("", 1)
    assert cluster["metadata"]["labels"] == {"volproc/run": "1a2b"}
    pools.close()
    assert fake.deleted == [cluster["metadata"]["name"]]


def test_pods_with_gpus_are_asked_for_ahead_and_gone_after_their_last_step(pools, fake):
    steps = [
        replace(step(on_gpu=on_gpu), name=name)
        for name, on_gpu in (("ingest", False), ("predict", True), ("label", False))
    ]
    follow = pools.usual.expect(steps)
    follow(StepStarted("ingest", 0, 100))
    assert fake.created == []
    follow(BlockDone("ingest", block=1, done=99, total=100, voxels=1, worker=1, peak_bytes=1))
    names = [cluster["metadata"]["name"] for _, cluster in fake.created]
    assert [name[:12] for name in names] == ["volproc-gpu-", "volproc-cpu-"]
    follow(StepStarted("predict", 0, 100))
    assert fake.deleted == []
    follow(StepStarted("label", 0, 100))
    assert fake.deleted == names[:1]
    pools.close()
    assert fake.deleted == names


@pytest.mark.parametrize(
    ("code", "said", "match"),
    [
        (
            403,
            'daskclusters is forbidden: User "me" cannot create resource "daskclusters"',
            r'Kubernetes refuses: .*cannot create resource "daskclusters"; docs/clusters\.md',
        ),
        (404, 'namespaces "lab" not found', "there is no namespace lab .*namespace"),
        (
            404,
            "could not find the requested resource",
            "has no Dask operator: it does not know daskclusters",
        ),
        (422, 'DaskCluster "x" is invalid: spec.worker.replicas: Invalid value', "refuses a field"),
    ],
)
def test_what_the_server_refuses_is_one_line_before_any_work(pools, fake, code, said, match):
    fake.refusals["POST", "daskclusters"] = code, {"message": said}
    with pytest.raises(VolprocError, match=match):
        pools.require_possible()


def test_a_server_that_fails_may_work_later(api, fake):
    fake.refusals["GET", "pods"] = 503, {"message": "etcd is away"}
    with pytest.raises(TransientError, match="Kubernetes failed"):
        api.list("v1", "pods")


def test_a_server_that_does_not_answer_may_work_later(tmp_path, monkeypatch):
    use_kubeconfig(tmp_path, monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(TransientError, match="does not answer"):
        ApiServer("lab")


def test_no_cluster_is_known_without_a_kubeconfig_or_a_pod(tmp_path, monkeypatch):
    use_kubeconfig(tmp_path, monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    with pytest.raises(ConfigError, match=r"no Kubernetes cluster is known here .*KUBECONFIG"):
        ApiServer("lab")
    use_kubeconfig(tmp_path, monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(
        ConfigError, match=r"No such context there.*\[cluster\.kubernetes\] context"
    ):
        ApiServer("lab", context="there")


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "kr8s", None)
    with pytest.raises(VolprocError, match=r"needs kr8s, .*pip install '\.\[kubernetes\]'"):
        ApiServer("lab")


@pytest.mark.parametrize(
    ("table", "match"),
    [
        ({"walltime": "01:00:00"}, r"\[cluster\.gpu\] walltime is for kind = \"jobqueue\""),
        ({"prologue": ["module load"]}, r"\[cluster\.gpu\] prologue is for"),
        ({"gpus_per_job": 4}, r"\[cluster\.gpu\] gpus_per_job = 4: a pod has one GPU"),
        ({"constraint": "big nodes"}, r"\[cluster\.gpu\] constraint = 'big nodes'"),
        ({"queue": "no/queue"}, r"\[cluster\.gpu\] queue = 'no/queue'"),
    ],
)
def test_options_that_pods_do_not_have_are_refused(table, match):
    options = ClusterOptions(kind="kubernetes", gpu=PoolOptions(**table), kubernetes=IMAGE)
    with pytest.raises(ConfigError, match=match), kubernetes.engine(options):
        pass


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("namespace", "My Lab"),
        ("environment_secret", "a_b"),
        ("image", "a b"),
        ("tolerations", ("spot=true:Never",)),
        ("node_selector", ("spot",)),
        ("volumes", ("claim:relative",)),
        ("name", "-x"),
    ],
)
def test_options_that_kubernetes_would_refuse_are_named(option, value):
    with pytest.raises(ConfigError, match=rf"\[cluster\.kubernetes\] {option} = .*in the form of"):
        KubernetesOptions(**{option: value})


def test_outside_a_pod_an_image_must_be_named_and_nobody_owns_the_cluster(api):
    with pytest.raises(ConfigError, match=r"\[cluster\.kubernetes\] image is missing"):
        surroundings(api, ClusterOptions(kind="kubernetes"))
    assert surroundings(api, OPTIONS).owner is None


def test_in_a_pod_its_image_security_and_name_are_taken(api, fake, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("HOSTNAME", "client-abc")
    own = pod("client-abc", metadata={"uid": "1-2"})
    security = {"runAsUser": 1000}
    own["spec"] = {"containers": [{"image": "volproc:9"}], "securityContext": security}
    fake.objects["pods"] = [own]
    found = surroundings(api, ClusterOptions(kind="kubernetes"))
    assert (found.image, found.security, found.owner["uid"]) == ("volproc:9", security, "1-2")


def test_a_client_in_another_namespace_has_no_owner_there(api, fake, monkeypatch):
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("HOSTNAME", "client-abc")
    assert surroundings(api, OPTIONS).owner is None
    fake.refusals["GET", "pods"] = 403, {"message": "cannot get"}
    assert surroundings(api, OPTIONS).owner is None


def test_the_next_client_deletes_what_a_dead_one_of_the_same_outputs_left(api, fake):
    fake.objects["daskclusters"] = [
        {"metadata": {"name": name, "labels": {"volproc/run": run}}}
        for name, run in (("mine", "1a2b"), ("another", "ffff"))
    ]
    kubernetes.remove_left_behind(api, "")
    assert fake.deleted == []
    kubernetes.remove_left_behind(api, "1a2b")
    assert fake.deleted == ["mine"]


def test_outputs_have_the_same_digest_for_their_next_owner_and_no_other(tmp_path):
    root = str(tmp_path)
    one = run_digest([Lease(root, 1, "me")])
    assert one == run_digest([Lease(root, 2, "you")])
    assert one != run_digest([Lease("s3://bucket/run", 1, "me")])
    assert run_digest([]) == ""
    tmp_path.rename(tmp_path.with_name("aside"))
    tmp_path.mkdir()  # another folder of the same path
    assert one != run_digest([Lease(root, 1, "me")])


def test_a_deleted_cluster_that_the_operator_holds_back_is_let_go(api, fake, monkeypatch):
    monkeypatch.setattr(workers_file, "GONE_PAUSE_S", 0.01)
    monkeypatch.setattr(workers_file, "HELD_S", 0.1)
    held = {"name": "one", "finalizers": ["kopf"], "labels": {"volproc/run": "1a2b"}}
    fake.objects["daskclusters"] = [{"metadata": held}]
    kubernetes.remove_left_behind(api, "1a2b")
    assert fake.objects["daskclusters"] == []
    assert fake.deleted == ["one"]
    assert fake.calls.count(("PATCH", "daskclusters")) == 1


def test_pods_that_stay_are_said(api, fake, monkeypatch):
    monkeypatch.setattr(workers_file, "GONE_WITHIN_S", 0.0)
    fake.objects["pods"] = [pod("one-stays")]
    with pytest.raises(TransientError, match=r"one-stays are still there 0 s after"):
        workers_file.wait_until_gone(api, ["one"])
