"""Data sets by name: the registry, downloads from a server on this machine, and what is said when that fails."""

import dataclasses
import gzip
import hashlib
import http.server
import re
import threading

import numpy as np
import pytest
from conftest import REPOSITORY

from bayesastro import datasets
from bayesastro.datasets import fetching, loading
from bayesastro.datasets.registry import Dataset, PublishedFile, registry

NODES, COVARIANCE = "jla_binned_distances_31nodes_v1.txt", "cov_jla_binned_distances_31nodes_v1.txt"

CONTENTS = {
    NODES: b"# z:\n# mu:\n#end\n0.01 32.9\n0.1 38.2\n",
    COVARIANCE: b"2\n0.02 0.001\n0.001 0.01\n",
    "line.arf": b"not much of an effective area",
}


class Server(http.server.ThreadingHTTPServer):
    """Serves `CONTENTS`, or answers in another way by the beginning of the path; counts what it was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        _, way, name = self.path.split("/")
        if way == "nothing":
            self.send_error(404)
            return
        body = b"<html>Moved</html>" if way == "other" else CONTENTS[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if way == "half" else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    serving = Server()
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    yield serving
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """The cache folder of this test, without a folder of one's own."""
    monkeypatch.delenv("BAYESASTRO_DATA", raising=False)
    monkeypatch.setattr(fetching, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def published(name, url):
    return PublishedFile(
        folder="toy",
        name=name,
        sha256=hashlib.sha256(CONTENTS[name]).hexdigest(),
        size=1,
        url=url,
        source="its authors",
    )


@pytest.fixture
def toy(server, monkeypatch):
    """A data set of two files on the server, by the name `toy`; `way` is how it answers."""

    def make(way="whole", names=(NODES, COVARIANCE)):
        url = f"http://127.0.0.1:{server.server_port}/{way}/"
        made = Dataset(
            name="toy",
            what="two supernovae",
            citation="",
            licence="",
            reader="supernovae:read_jla_binned",
            takes="folder",
            source="its authors",
            files=tuple(published(name, url + name) for name in names),
        )
        monkeypatch.setattr(loading, "dataset_named", lambda name: made)
        return made

    return make


def left(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# Downloads


def test_what_is_nowhere_is_downloaded_once(toy, server, cache):
    toy()
    diagram = datasets.load("toy")
    np.testing.assert_array_equal(diagram.magnitude, [32.9, 38.2])
    np.testing.assert_array_equal(diagram.covariance, [[0.02, 0.001], [0.001, 0.01]])
    assert server.asked == [f"/whole/{NODES}", f"/whole/{COVARIANCE}"]
    datasets.load("toy")
    assert len(server.asked) == 2
    assert left(cache) == sorted([NODES, COVARIANCE])


def test_a_spoilt_file_of_the_cache_is_downloaded_again(toy, server, cache):
    toy()
    datasets.load("toy")
    (cache / "toy" / NODES).write_bytes(b"# z:\n")
    assert datasets.load("toy").magnitude.shape == (2,)
    assert server.asked.count(f"/whole/{NODES}") == 2


@pytest.mark.parametrize(
    ("way", "kind", "words"),
    [
        ("nothing", OSError, "could not be downloaded from .*HTTPError.*put it into a folder as `toy/jla_binned"),
        ("half", OSError, "could not be downloaded from .*Download it elsewhere.*set BAYESASTRO_DATA to that folder"),
        ("other", ValueError, "is not the file `toy/jla_binned.*Get that file from its authors.*BAYESASTRO_DATA names"),
    ],
)
def test_a_failed_download_leaves_nothing(toy, cache, way, kind, words):
    toy(way)
    with pytest.raises(kind, match=words):
        datasets.load("toy")
    assert left(cache) == []


def test_without_a_network_one_sentence_tells_file_address_and_place(toy, server, cache):
    made = toy()
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match="could not be downloaded") as caught:
        datasets.load("toy")
    assert str(caught.value) == (
        f"`toy/{NODES}` could not be downloaded from {made.files[0].url} (ConnectionError). Download it elsewhere, put it "
        f"into a folder as `toy/{NODES}`, and set BAYESASTRO_DATA to that folder."
    )
    assert left(cache) == []


def test_what_has_no_address_says_where_the_original_is(cache):
    with pytest.raises(FileNotFoundError, match="no public address has the same bytes: it is made from") as caught:
        datasets.load("hat_p_7")
    assert "archive.stsci.edu/kepler" in str(caught.value)
    assert "as `transit_kepler_tess/HAT-P-7_kepler_Q0_short_cadence.npz`" in str(caught.value)


def test_bytes_of_github_s_blobs_are_asked_for(monkeypatch, cache):
    """Without the header its answer is JSON."""
    import pooch

    asked = []
    monkeypatch.setattr(pooch, "retrieve", lambda *a, downloader: asked.append(downloader.kwargs) or "there")
    fetching.fetched(registry()["tbabs_wilm"])
    fetching.fetched(registry()["jla"])
    assert asked == [{"headers": {"Accept": "application/vnd.github.raw+json"}}, {"headers": {}}]


# A folder of one's own


@pytest.fixture
def own(monkeypatch, tmp_path, cache):
    """The folder that `BAYESASTRO_DATA` names."""
    monkeypatch.setenv("BAYESASTRO_DATA", str(tmp_path / "own"))
    (tmp_path / "own" / "toy").mkdir(parents=True)
    return tmp_path / "own" / "toy"


def test_one_s_own_folder_comes_first(toy, server, own, cache):
    toy()
    for name in (NODES, COVARIANCE):
        (own / name).write_bytes(CONTENTS[name])
    assert datasets.load("toy").magnitude.shape == (2,)
    assert server.asked == []
    assert left(cache) == []


def test_a_file_that_one_s_own_folder_lacks_is_downloaded_beside_a_copy_of_the_others(toy, server, own, cache):
    toy()
    (own / NODES).write_bytes(CONTENTS[NODES])
    assert datasets.load("toy").magnitude.shape == (2,)
    assert server.asked == [f"/whole/{COVARIANCE}"]
    assert left(cache) == sorted([NODES, COVARIANCE])
    assert left(own) == [NODES]


def test_another_file_of_that_name_is_never_used(toy, own):
    toy()
    (own / NODES).write_bytes(b"# z:\n# mu:\n#end\n0.01 33.9\n0.1 38.2\n")
    with pytest.raises(
        ValueError, match=r"is not the file published: its SHA-256 is .*get it anew from http"
    ) as caught:
        datasets.load("toy")
    assert str(own / NODES) in str(caught.value)


def test_a_fits_file_may_be_compressed(own):
    file = published("line.arf", None)
    data = Dataset(
        name="a", what="", citation="", licence="", reader="", takes="file", source="its authors", files=(file,)
    )
    (own / "line.arf.gz").write_bytes(gzip.compress(CONTENTS["line.arf"]))
    assert fetching.fetched(data) == [own / "line.arf.gz"]
    (own / "line.arf.gz").write_bytes(gzip.compress(b"another"))
    with pytest.raises(ValueError, match="get the one made from the original \\(its authors\\)"):
        fetching.fetched(data)
    (own / "line.arf.gz").write_bytes(gzip.compress(CONTENTS["line.arf"])[:-12])
    with pytest.raises(ValueError, match="is no whole gzip file"):
        fetching.fetched(data)


# The registry


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("JLA", "Did you mean `jla`"),
        ("slacs", "Did you mean `slacs_lenses`"),
        ("xyz", "There are desi_dr2_bao, cosmic_chronometers"),
    ],
)
def test_a_wrong_name_is_told_the_near_ones(name, hint):
    with pytest.raises(ValueError, match=f"There is no data set '{name}'. {hint}"):
        datasets.load(name)


@pytest.mark.parametrize("name", list(registry()))
def test_entries_are_whole(name):
    entry = registry()[name]
    assert all((entry.what, entry.citation, entry.licence, entry.source))
    assert bool(entry.files) == (entry.takes != "nothing")
    for file in entry.files:
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert file.size > 0
        # An address names a commit or a blob, so that its bytes cannot change.
        assert file.url is None or re.search("/[0-9a-f]{40}(/|$)", file.url)
    assert entry.needs is None or entry.needs in registry()


@pytest.mark.parametrize("name", list(registry()))
def test_the_page_of_data_sets_has_it(name):
    entry = registry()[name]
    (row,) = re.findall(rf"^\| `{name}` \|.*$", (REPOSITORY / "docs" / "datasets.md").read_text(), flags=re.MULTILINE)
    _, _, what, size, download, citation, _ = (cell.strip() for cell in row.split("|"))
    assert (what, citation) == (entry.what, entry.citation)
    assert size == (f"{entry.size / 1e6:.2f}" if entry.files else "")
    has_addresses = "yes" if all(file.url for file in entry.files) else "no"
    assert download == (has_addresses if entry.files else "built in")


@pytest.mark.parametrize("name", list(registry()))
def test_every_data_set_is_read(name, published_data):
    """By the reader that the package offers for it, and it is what was published: `load` verifies that."""
    contents = published_data(name)
    first = (
        next(iter(contents.values() if isinstance(contents, dict) else contents))
        if isinstance(contents, dict | list)
        else contents
    )
    assert dataclasses.is_dataclass(first)
    assert type(first).__name__ in datasets.__all__
    entry = registry()[name]
    for file in entry.files:
        path = fetching.found(file)
        whole = gzip.decompress(path.read_bytes()) if path.name != file.name else path.read_bytes()
        assert len(whole) == file.size


def test_settings_go_to_the_reader(published_data):
    published_data("euclid_lens")
    assert datasets.load("euclid_lens", band="NIR_H").band == "NIR_H"
    assert len(datasets.load("xid_plus_tile", bands=("psw250",))) == 1
    with pytest.raises(TypeError, match="colour"):
        datasets.load("euclid_lens", colour="red")


def test_observations_lie_on_the_pixels_of_the_first(published_data):
    first, second = published_data("sagittarius_a")
    place = np.arange(33) - 16
    for observation in (first, second):
        centroid = (observation.psf.sum(1) @ place, observation.psf.sum(0) @ place)
        np.testing.assert_allclose(
            centroid, observation.image.offset_from(first.image), atol=0.05
        )  # values below 0 are cut off
        assert (observation.exposure == observation.image.exposure).all()
    assert max(map(abs, second.image.offset_from(first.image))) > 0.4
    (cluster,) = published_data("abell_1835")
    assert cluster.psf is None
    assert cluster.exposure.shape == cluster.image.counts.shape
    with pytest.raises(ValueError, match="`psf` needs a file for each of the 1 of `counts`, but has 0"):
        datasets.read_xray_observations(["a.fits"], psf=[])


def test_the_list_says_what_there_is(own):
    table = datasets.available()
    assert list(table.index) == list(registry())
    assert list(table.columns) == ["what", "size", "present", "licence", "citation", "source"]
    assert table.loc["jla", "size"] == 125945
    present = table["present"]
    assert list(table.index[present]) == ["desi_dr2_bao", "cosmic_chronometers"]
