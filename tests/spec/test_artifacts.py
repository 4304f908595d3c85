from generator.spec.artifacts import PUBLICATIONS, checksum_url, mirror_path, official_url


def test_paths_below_a_mirror() -> None:
    assert mirror_path("kubelet", "1.20.2", "arm64") == "kubernetes/v1.20.2/bin/linux/arm64/kubelet"
    assert mirror_path("cni-plugins", "1.8.0", "amd64") == "cni-plugins/v1.8.0/cni-plugins-linux-amd64-v1.8.0.tgz"


def test_official_downloads_end_in_the_same_file_as_the_mirror() -> None:
    for name in PUBLICATIONS:
        path = mirror_path(name, "9.8.7", "amd64")
        assert official_url(name, "9.8.7", "amd64").rsplit("/", 1)[1] == path.rsplit("/", 1)[1]
        assert checksum_url(name, "9.8.7", "amd64").startswith("https://") or name == "age"
