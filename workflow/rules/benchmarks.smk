# What the rules of the benchmarks on other data share: their networks and the rows of their tables.

RETRIEVED = {
    RUN.fixed_name(network): network for network in RUN.benchmarked("retrieval")
}


def retrieval_rows():
    """What `trackssl voc-retrieval` needs to know of each row."""
    return [
        {
            "method": method,
            "seed": seed,
            "networks": fixed_weights(network, seed),
            "members": 1,
            "precision": f"results/voc_retrieval/{method}_seed{seed}.csv",
        }
        for method, network in RETRIEVED.items()
        for seed in RUN.seeds
    ]


def retrieval_features(split):
    """Input function: the features of a row's network on one split."""

    def path(wildcards):
        folder = f"{RETRIEVED[wildcards.method]}/seed{wildcards.seed}"
        return f"results/detection/features/{folder}/as_is_{RUN.retrieval.layer}/{split}.npy"

    return path


CLASSIFIED = RUN.classified_year
CLASSIFIED_VOC = VOC[CLASSIFIED]
CLASSIFIED_BY = RUN.benchmarked("classification")
CLASSIFIED_FIXED = {RUN.fixed_name(network): network for network in CLASSIFIED_BY}


def classification_row(method, seed, folder, networks):
    """What `trackssl voc07-classification` needs to know of a row."""
    return {
        "method": method,
        "seed": seed,
        "networks": networks,
        "members": 1,
        "ap": f"{folder}/ap.csv",
        "finetuned": folder.startswith("results/classification/finetuned"),
    }


def classification_rows():
    """All rows: those of fixed features, then those of fine-tuned networks."""
    rows = []
    for method, network in CLASSIFIED_FIXED.items():
        for seed in RUN.seeds:
            folder = f"results/classification/fixed/{method}/seed{seed}"
            weights = fixed_weights(network, seed)
            rows.append(classification_row(method, seed, folder, weights))
    for network in CLASSIFIED_BY:
        for seed in RUN.seeds:
            folder = f"results/classification/finetuned/{network}/seed{seed}"
            weights = [f"{folder}/weights.safetensors"]
            rows.append(
                classification_row(f"{network}_finetuned", seed, folder, weights)
            )
    return rows


def classification_features(split):
    """Input function: the features of a fixed row's network on one split."""

    def path(wildcards):
        folder = f"{CLASSIFIED_FIXED[wildcards.method]}/seed{wildcards.seed}"
        kind = f"as_is_{RUN.classification.layer}"
        return f"results/classification/features/{folder}/{kind}/{split}.npy"

    return path


SCENES = RUN.benchmarked("scenes")


def scene_settings(*keys):
    """A part of the section, so that an edit of another part reruns nothing."""
    return RUN.scenes.model_dump_json(include=set(keys))


def scene_row(method, seed, folder, networks):
    """What `trackssl mit67-accuracy` needs to know of a row."""
    return {
        "method": method,
        "seed": seed,
        "networks": networks,
        "members": 1,
        "metrics": f"results/scenes/{folder}/seed{seed}/metrics.json",
    }


def scene_rows():
    """The rows of the table: fixed features, fine-tuned networks, then what is not learnt."""
    return [
        row
        for seed in RUN.seeds
        for row in (
            *(
                scene_row(
                    RUN.fixed_name(n), seed, f"linear/{n}", fixed_weights(n, seed)
                )
                for n in SCENES
            ),
            *(
                scene_row(
                    f"{n}_finetuned",
                    seed,
                    f"finetuned/{n}",
                    [f"results/scenes/finetuned/{n}/seed{seed}/weights.safetensors"],
                )
                for n in SCENES
            ),
            *(
                scene_row(name, seed, f"baselines/{name}", []) | {"members": 0}
                for name in RUN.scenes.baselines
            ),
        )
    ]


def normals_network(network, seed):
    """A network that was trained on surface normals."""
    return f"results/normals/networks/{network}/seed{seed}/weights.safetensors"


def normals_weights(wildcards):
    """The network of a row of normals; none for the control, the training images' mean."""
    if wildcards.normals_method == "mean_normal":
        return []
    return normals_network(wildcards.normals_method, wildcards.seed)


def normals_rows():
    """What `trackssl nyu-normals` needs to know of each row; the control has one, as no draw is in it."""
    rows = [("mean_normal", RUN.seeds[0], [])] + [
        (name, seed, [normals_network(name, seed)])
        for name in RUN.benchmarked("normals")
        for seed in RUN.seeds
    ]
    return [
        {
            "method": method,
            "seed": seed,
            "networks": networks,
            "scores": f"results/normals/methods/{method}/seed{seed}/scores.json",
        }
        for method, seed, networks in rows
    ]
