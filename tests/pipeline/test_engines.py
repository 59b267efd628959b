"""Profiles of other engines: a dry run reads them and plans all jobs; no engine is needed."""

import re
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parents[2]


def test_the_kubernetes_profile_plans_the_same_jobs_on_mounted_claims(pipeline) -> None:
    values = yaml.safe_load((REPOSITORY / "config/paper.yaml").read_text())
    values["videos"]["shards"] = 3
    pipeline.configure(values)
    at = pipeline.command.index("--cores")
    counts = []
    for name in ("default", "kubernetes"):
        profile = str(REPOSITORY / "profiles" / name)
        pipeline.command[at : at + 2] = ["--workflow-profile", profile]
        code, output = pipeline.run("--dry-run", "--printshellcmds", "results/voc_map.csv")
        assert code == 0, output
        counts.append(dict(re.findall(r"^(\w+) +(\d+)$", output, re.M)))
    assert counts[0] == counts[1] and int(counts[0]["total"]) > 80
    # Inputs and outputs come from the shared folder; what is no rule's output is mounted.
    merge = re.findall(r"trackssl merge-pairs (\S+) --numbered 3", output)[0]
    assert merge.strip("'").endswith("/workdir/results/pairs/{shard}.arrow")
    profile = yaml.safe_load((REPOSITORY / "profiles/kubernetes/profile.yaml").read_text())
    mounted = {claim.split(":")[1] for claim in profile["kubernetes-persistent-volumes"]}
    folders = {"resources", "results", "progress", "provenance", "logs", "benchmarks"}
    assert mounted == {f"{profile['default-storage-prefix']}/{name}" for name in folders}


def test_all_profiles_agree_on_what_makes_a_job_run_again() -> None:
    profiles = [
        yaml.safe_load(path.read_text()) for path in REPOSITORY.glob("profiles/*/profile.yaml")
    ]
    assert len(profiles) >= 3
    assert all(one["rerun-triggers"] == profiles[0]["rerun-triggers"] for one in profiles)
