"""What lies in deploy/ is what schedulers, clusters and builders take; nothing is started."""

import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from openapi_schema_validator import OAS30Validator
from tests.engine.clusters.kubernetes.test_manifests import CRDS, strict

import volproc
from volproc.config.kubernetes import KubernetesOptions
from volproc.engine.clusters.kubernetes import api_server, manifests, require_for_pods
from volproc.errors import ConfigError, StoppedError
from volproc.workflow.workflow_file import load_workflow

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
WORKFLOWS = sorted(DEPLOY.glob("*/*.toml"))
DOCKERFILES = sorted(DEPLOY.glob("docker/Dockerfile*"))
SCRIPTS = sorted(DEPLOY.glob("*/*.sbatch"))
VERSION = volproc.__version__
KUBERNETES_VERSION = "1.33"


def tool(name, *arguments):
    """What a tool of this environment says of files; its exit code has to be 0."""
    there = Path(sys.executable).with_name(name)
    found = subprocess.run([there, *map(str, arguments)], capture_output=True, text=True)
    return found.returncode, found.stdout + found.stderr


def objects():
    """Every object of the manifests, with its file."""
    for path in sorted(KUBERNETES.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            for one in yaml.safe_load_all(path.read_text()):
                yield pytest.param(one, id=f"{path.name}: {one['kind']} {one['metadata']['name']}")


def of_kind(kind, name=None):
    found = [one.values[0] for one in objects()]
    return [o for o in found if o["kind"] == kind and name in (None, o["metadata"]["name"])]


@cache
def operators_kinds():
    """A validator for each kind that the operator adds to Kubernetes."""
    found = {}
    for path in (CRDS / "crds").glob("*.yaml"):
        crd = yaml.load(path.read_text(), yaml.CSafeLoader)["spec"]
        schema = strict(crd["versions"][0]["schema"]["openAPIV3Schema"])
        schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {}}
        found[crd["names"]["kind"]] = OAS30Validator(schema)
    return found


def wrong_with(one):
    """What is wrong with an object, by the operator's schemas or Kubernetes' own."""
    if one["kind"] in operators_kinds():
        return [error.message for error in operators_kinds()[one["kind"]].iter_errors(one)]
    try:
        kubernetes_validate.validate(one, KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [error.message]
    return []


@pytest.mark.parametrize("one", list(objects()))
def test_a_manifest_is_what_kubernetes_and_the_operator_take(one):
    assert wrong_with(one) == []
    assert one["kind"] == "Namespace" or one["metadata"]["namespace"] == "volproc"


@pytest.mark.parametrize(("kind", "key"), [("Job", "backofLimit"), ("DaskJob", "jobs")])
def test_a_misspelt_key_would_be_noticed(kind, key):
    (one,) = of_kind(kind)
    one["spec"][key] = 1
    assert wrong_with(one)


def test_the_role_has_the_rights_that_the_source_asks_for_and_no_other():
    rows = re.findall(r"(?m)^    (\S+)( \(kubernetes\.dask\.org\))?  +(.*)$", api_server.__doc__)
    needed = {
        (name, "kubernetes.dask.org" if group else "", verb.strip())
        for name, group, verbs in rows
        if "outside" not in verbs
        for verb in re.sub(r"\(.*?\)", "", verbs).split(",")
    }
    (role,) = of_kind("Role")
    given = {
        (resource, group, verb)
        for rule in role["rules"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
        for verb in rule["verbs"]
    }
    assert given == needed
    assert len(given) > 5
    assert not [one for one in given if "secrets" in one or "*" in one]


def test_the_rights_are_those_of_the_jobs_own_account():
    (binding,), (job,) = of_kind("RoleBinding"), of_kind("Job")
    account = job["spec"]["template"]["spec"]["serviceAccountName"]
    assert [one["name"] for one in binding["subjects"]] == [account]
    assert of_kind("ServiceAccount", account)
    assert of_kind("Role", binding["roleRef"]["name"])


def test_the_job_is_tried_again_unless_the_user_has_to_act():
    (job,) = of_kind("Job")
    disrupted, ended = job["spec"]["podFailurePolicy"]["rules"]
    assert disrupted["action"] == "Ignore"
    assert disrupted["onPodConditions"][0]["type"] == "DisruptionTarget"
    assert (ended["action"], ended["onExitCodes"]["values"]) == ("FailJob", [ConfigError.exit_code])
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert ended["onExitCodes"]["containerName"] == container["name"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"  # the policy asks for it


def test_pods_pass_the_standard_that_the_namespace_enforces():
    (namespace,), (job,), (dask,) = of_kind("Namespace"), of_kind("Job"), of_kind("DaskJob")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    cluster = dask["spec"]["cluster"]["spec"]
    pods = [job["spec"]["template"]["spec"], dask["spec"]["job"]["spec"]]
    pods += [cluster["scheduler"]["spec"], cluster["worker"]["spec"]]
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_policies_select_the_pods_that_are_made_and_open_what_they_listen_at():
    (scheduler,), (worker,) = (
        of_kind("NetworkPolicy", f"volproc-{name}") for name in ("schedulers", "workers")
    )
    label = manifests.COMPONENT_LABEL
    assert scheduler["spec"]["podSelector"]["matchLabels"] == {label: "scheduler"}
    assert worker["spec"]["podSelector"]["matchLabels"] == {label: "worker"}
    own, operator = scheduler["spec"]["ingress"]
    assert own == {"from": [{"podSelector": {}}], "ports": [{"port": manifests.SCHEDULER_PORT}]}
    ports = {one["port"] for one in operator["ports"]}
    assert ports == {manifests.SCHEDULER_PORT, manifests.HTTP_PORT}
    (client,), (job,) = of_kind("NetworkPolicy", "volproc-client"), of_kind("Job")
    selected = client["spec"]["podSelector"]["matchLabels"].items()
    assert selected <= job["spec"]["template"]["metadata"]["labels"].items()


def test_names_agree_from_file_to_file():
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
    assert all((KUBERNETES / name).exists() for name in kustomization["resources"])
    (generated,) = kustomization["configMapGenerator"]
    assert all((KUBERNETES / name).exists() for name in generated["files"])
    (job,), (secret,) = of_kind("Job"), of_kind("Secret")
    pod = job["spec"]["template"]["spec"]
    assert pod["volumes"][0]["configMap"]["name"] == generated["name"]
    assert pod["containers"][0]["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
    workflow = load_workflow(KUBERNETES / "workflow.toml", environment={})
    assert workflow.cluster.kubernetes.environment_secret == secret["metadata"]["name"]
    assert not any(secret["stringData"].values())
    assert [one["newTag"] for one in kustomization["images"]] == [VERSION]


def test_every_image_has_the_version_of_volproc():
    texts = [p.read_text() for p in DEPLOY.rglob("*") if p.is_file()]
    tags = {tag for text in texts for tag in re.findall(r"\bvolproc:([\w.]+)", text)}
    assert tags == {VERSION}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_read(path, tmp_path):
    """Also with all that is switched off by a comment."""
    assert load_workflow(path, environment={}).cluster.kind in ("jobqueue", "kubernetes")
    every = tmp_path / "every.toml"
    every.write_text(re.sub(r"(?m)^# ?(?=\[?[\w.]+\]? *(=|$|#))", "", path.read_text()))
    workflow = load_workflow(every, environment={})
    assert workflow.cluster.gpu is not None
    if workflow.cluster.kind == "kubernetes":
        require_for_pods(workflow.cluster)
        assert workflow.cluster.kubernetes != KubernetesOptions()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_batch_script_is_sound_bash(path):
    assert subprocess.run(["bash", "-n", path]).returncode == 0
    assert tool("shellcheck", "--shell=bash", path) == (0, "")


@pytest.mark.parametrize("code", [0, 1, 2, StoppedError.exit_code])
def test_a_client_whose_time_is_over_asks_to_be_run_again(tmp_path, code):
    """With commands of these names that note what they were called with."""
    calls = tmp_path / "calls"
    for name, end in {"volproc": code, "scontrol": 0}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {calls}\nexit {end}\n')
    (tmp_path / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    for name in ("volproc", "scontrol", "srun"):
        (tmp_path / name).chmod(0o755)
    around = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_JOB_ID": "7"}
    script = [shutil.which("bash"), DEPLOY / "slurm/client.sbatch", "my.toml"]
    assert subprocess.run(script, env=around).returncode == code
    ran, *asked = calls.read_text().splitlines()
    assert ran == "volproc run my.toml --until 1430min"
    assert asked == (["scontrol requeue 7"] if code == StoppedError.exit_code else [])


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_is_sound_pinned_and_not_run_as_root(path):
    assert tool("hadolint", "--failure-threshold", "style", path) == (0, "")
    text = path.read_text()
    assert re.search(r"(?m)^ARG BASE=python:\d+\.\d+\.\d+-", text)
    assert "-c /build/constraints.txt" in text
    assert re.findall(r"(?m)^USER (.*)$", text) == ["1000:1000"]
    assert not re.search(r"(?i)secret|token|password|extra-index-url https", text)


def test_the_dockerfiles_differ_in_torch_and_the_gpu_only():
    cpu, cuda = ([*path.read_text().splitlines()] for path in DOCKERFILES)
    different = {line.strip(" \\") for line in set(cpu) ^ set(cuda) if not line.startswith("#")}
    told = {line.partition("=")[0] for line in different}
    assert told == {
        *("ARG TORCH_INDEX", "PYTHONUNBUFFERED"),
        *("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"),
    }


def sections():
    """The sections of the Apptainer definition by their names."""
    head, *rest = re.split(r"(?m)^%(\w+)\n", (DEPLOY / "apptainer/volproc.def").read_text())
    return {"": head, **dict(zip(rest[::2], rest[1::2], strict=True))}


def test_the_apptainer_definition_copies_what_there_is_and_runs_sound_scripts(tmp_path):
    found = sections()
    assert found.keys() >= {"arguments", "files", "post", "environment", "runscript", "test"}
    assert re.search(r"(?m)^Bootstrap: docker\nFrom: \{\{ base \}\}$", found[""])
    given = dict(re.findall(r"(?m)^    (\w+)=(.*)$", found["arguments"]))
    used = {name for text in found.values() for name in re.findall(r"\{\{ (\w+) \}\}", text)}
    assert used == given.keys()
    assert all((ROOT / line.split()[0]).exists() for line in found["files"].strip().splitlines())
    for name in ("post", "environment", "runscript", "test"):
        script = tmp_path / f"{name}.sh"
        filled = re.sub(r"\{\{ (\w+) \}\}", lambda one: given[one[1]], found[name])
        script.write_text(f"#!/bin/sh\n{filled}")
        assert tool("shellcheck", "--shell=sh", script) == (0, ""), name


def test_images_have_extras_that_exist():
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    texts = [path.read_text() for path in (*DOCKERFILES, DEPLOY / "apptainer/volproc.def")]
    named = [re.search(r"(?im)^(?:ARG |    )extras=(.*)$", text)[1].split(",") for text in texts]
    assert all(set(names) <= known.keys() for names in named)
    assert all("kubernetes" in names for names in named[:2])
