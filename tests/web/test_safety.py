"""What a request is refused for, and what every answer carries."""

import re
import tempfile
import time
from pathlib import Path

import pytest
import requests
from itsdangerous import TimestampSigner

from fer_core.errors import ConfigError
from fer_core.web.problems import RequestError
from fer_core.web.safety import SignIn
from fer_core.web.settings import WebSettings, host_names, secrets_of
from tests.conftest import paths_in
from tests.web.conftest import TOKEN, Visit, csrf_token, folder_contents, served

PAGES = ("/", "/live", "/runs", "/runs/shipped-best", "/jobs", "/jobs/new/train", "/model", "/corrections", "/login")
ON_DEVICE = ("/", "/live", "/static/device/worker.js")
PATHS_WITH_NAMES = (
    *("/runs/{0}", "/runs/shipped-best/files/{0}", "/runs/shipped-best/plots/{0}", "/histories/{0}"),
    *("/histories/{0}/csv", "/searches/{0}", "/jobs/{0}", "/corrections/{0}/{0}", "/static/{0}"),
    *("/compare?run={0}&run=csv:{0}", "/api/v1/runs/{0}", "/api/v1/jobs/{0}", "/api/v1/searches/{0}"),
)
FORMS = (
    *("/", "/corrections", "/corrections/happy/a.png/delete", "/model/promote", "/model/rollback", "/logout"),
    *("/jobs/new/train", "/jobs/a/cancel", "/jobs/a/resume", "/login"),
)
RIGHT = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def locked(web_settings, tmp_path_factory):
    """A server with a token and a password file."""
    folder = tmp_path_factory.mktemp("locked")
    password = folder / "password"
    password.write_text("the password of all\nnot this\n")
    with served(web_settings, paths_in(folder), token=TOKEN, password_file=password, https=True) as site:
        yield site


@pytest.mark.parametrize(
    "path", [*PAGES, "/static/style.css", "/static/device/worker.js", "/nothing", "/api/v1/runs", "/healthz"]
)
def test_every_answer_has_the_headers_that_browsers_obey_and_no_script_or_style_within(site, path):
    answer = site.get(path)
    headers = answer.headers
    policy = headers["Content-Security-Policy"]
    # The pages that read on the device compile WebAssembly there, and may do nothing else besides.
    scripts_from = "script-src 'self' 'wasm-unsafe-eval';" if path in ON_DEVICE else "script-src 'self';"
    assert all(part in policy for part in ("default-src 'none'", scripts_from, "frame-ancestors 'none'"))
    assert policy.count("unsafe") == int(path in ON_DEVICE)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Server" not in headers
    assert path.startswith("/static") or headers["Cache-Control"] == "no-store"
    if path in PAGES:
        scripts = re.findall(r"<script\b[^>]*>", answer.text)
        assert [one for one in scripts if "src=" not in one and 'type="application/json"' not in one] == []
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", answer.text)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.2", "[::2]", ""])
def test_another_host_name_is_refused_without_a_page_and_without_a_cookie(site, host):
    answer = site.get("/healthz", headers={"Host": host})
    assert answer.status_code == 400
    assert "not known as" in answer.json()["error"]
    assert "--allow-host" in answer.text
    for_a_browser = site.get("/", headers={"Host": host, "Accept": "text/html"})
    assert for_a_browser.status_code == 400
    assert for_a_browser.headers["Content-Type"].startswith("text/plain")
    assert not for_a_browser.cookies
    assert "shipped/best" not in for_a_browser.text


def test_the_names_of_the_server_are_let_in():
    names = host_names(WebSettings(allow_host=("FER.example.org",), host="::1"))
    assert {"fer.example.org", "localhost", "127.0.0.1", "[::1]"} == names
    for given, name in {"fer.example.org:8443": "fer.example.org", "[2001:DB8::1]": "[2001:db8::1]"}.items():
        assert name in host_names(WebSettings(allow_host=(given,)))
    for name in ("", " ", ":80", "https://fer.example.org", "a b"):
        with pytest.raises(ConfigError, match="no name of a host"):
            host_names(WebSettings(allow_host=(name,)))


def test_a_form_of_a_page_that_was_open_for_hours_is_taken(site, monkeypatch):
    visit = Visit(site)
    fields = {"csrf_token": csrf_token(visit.get("/jobs").text)}
    now = int(time.time())
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now + 11 * 3600)
    assert visit.session.post(f"{site.url}/logout", data=fields, timeout=30).status_code == 200


def test_behind_a_proxy_who_guesses_stops_only_himself(web_settings, tmp_path):
    with served(web_settings, paths_in(tmp_path), token=TOKEN, proxy="127.0.0.1") as site:

        def status(address: str, token: str) -> int:
            headers = {"X-Forwarded-For": f"10.9.9.9, {address}", "Authorization": f"Bearer {token}"}
            return site.get("/api/v1/runs", headers=headers).status_code

        assert [status("192.0.2.1", "wrong") for _ in range(6)] == [401] * 5 + [429]
        assert status("192.0.2.2", TOKEN) == 200


def test_a_form_is_taken_through_a_proxy_that_passes_on_what_the_readme_says(web_settings, tmp_path):
    proxy = {"token": TOKEN, "proxy": "127.0.0.1", "https": True, "allow_host": ("fer.example.org",)}
    with served(web_settings, paths_in(tmp_path), **proxy) as site:
        passed = {"Host": "fer.example.org:8443", "X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        page = site.get("/login", headers=passed)
        form = {"password": TOKEN, "csrf_token": csrf_token(page.text)}
        cookie = {"Cookie": page.headers["Set-Cookie"].partition(";")[0]}
        for own, status in (("https://fer.example.org:8443", 302), ("https://evil.example", 403)):
            sent = {"Origin": own, "Referer": f"{own}/login"}
            answer = site.post("/login", data=form, headers=passed | cookie | sent, allow_redirects=False)
            assert answer.status_code == status


def test_a_form_that_a_proxy_passes_on_under_another_name_says_which_header_is_missing(site):
    answer = site.post("/login", headers={"Origin": "https://fer.example.org"})
    assert answer.status_code == 403
    assert "proxy_set_header Host $http_host" in answer.text


def test_after_a_new_start_the_password_is_asked_for_again(web_settings, tmp_path):
    (tmp_path / "password").write_text("the password of all\n")
    cookies: dict[str, str] = {}
    for _ in range(2):
        with served(web_settings, paths_in(tmp_path), password_file=tmp_path / "password") as site:
            assert site.get("/api/v1/runs", cookies=cookies).status_code == 401
            visit = Visit(site)
            page = visit.submit("/login", {"password": "the password of all", "next": "/runs"}, start="/login")
            assert page.url == f"{site.url}/runs"
            cookies = visit.session.cookies.get_dict()


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}, {"Origin": "http://["}],
)
def test_a_page_from_elsewhere_can_change_nothing_and_have_nothing_read(site, face, headers):
    for path in ("/", "/api/v1/predict", "/corrections", "/model/rollback", "/api/v1/jobs"):
        answer = site.post(path, files={"image": face}, headers=headers)
        assert answer.status_code == 403, path
        assert "from elsewhere" in answer.text


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_its_token_is_refused(site, path):
    answer = site.post(path, data={"run": "a"}, headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert "The form cannot be trusted" in answer.text
    assert "Reload the page" in answer.text


@pytest.mark.parametrize("path", ["jobs", "jobs/a/cancel", "jobs/a/resume", "data", "data/a/labels", "uploads"])
def test_a_call_that_changes_something_needs_json_and_our_own_origin(site, path):
    path, body = f"/api/v1/{path}", {"task": "gc"}
    assert site.post(path, json=body).status_code == 403
    assert site.post(path, data="{}", headers={"Origin": site.url}).status_code == 415
    assert site.post(path, json=body, headers={"Origin": site.url.replace("127.0.0.1", "localhost")}).status_code == 403
    assert "Origin" in site.post(path, json=body).json()["hint"]
    assert site.change(path, {"task": "none"}).status_code in (400, 404)


@pytest.mark.parametrize(
    "name",
    [
        *("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e", "..\\..", "a%00b", ".hidden"),
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    ],
)
def test_no_name_becomes_a_path_or_markup(site, name):
    for path in (template.format(name) for template in PATHS_WITH_NAMES):
        request = requests.Request("GET", site.url + path, headers={"Accept": "text/html,*/*"}).prepare()
        request.url = site.url + path
        answer = requests.Session().send(request, timeout=30)
        assert answer.status_code in (400, 404), path
        assert "root:" not in answer.text
        assert "<script>alert" not in answer.text


def test_without_a_secret_only_this_machine_is_served():
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        with pytest.raises(ConfigError, match="lets other machines in") as error:
            secrets_of(WebSettings(host=host), {})
        assert "--password-file" in error.value.hint
        assert secrets_of(WebSettings(host=host), {"FER_WEB_TOKEN": TOKEN}) == (TOKEN,)
    assert secrets_of(WebSettings(host="::1"), {}) == ()


@pytest.mark.parametrize(
    ("content", "says"), [("", "is empty"), ("short\n", "has 5 characters"), (None, "cannot be read")]
)
def test_a_password_file_that_holds_none_is_refused(tmp_path, content, says):
    path = tmp_path / "password"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=says):
        secrets_of(WebSettings(password_file=path), {})


def test_a_stranger_sees_the_login_alone_and_the_token_opens_the_api(locked, face):
    assert locked.get("/healthz").json() == {"status": "ok"}
    for path in ("/api/v1/runs", "/metrics", "/api/v1/openapi.json", "/api/v1/data/a/images", "/device/model.json"):
        answer = locked.get(path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    page = locked.get("/runs?sort=name", allow_redirects=False)
    assert page.headers["Location"] == "/login?next=/runs?sort%3Dname"
    for path in (f"/uploads/{'0' * 40}", "/data", "/data/a", "/data/a/sheet.png?at=0"):
        assert locked.get(path, allow_redirects=False).headers["Location"].startswith("/login?next=")
    assert locked.post("/api/v1/predict").status_code == 401
    assert "shipped/best" not in locked.get("/login").text
    assert locked.get("/api/v1/runs", headers=RIGHT).status_code == 200
    assert locked.post("/api/v1/predict", files={"image": face}, headers=RIGHT).status_code == 200
    answer = locked.post("/api/v1/jobs", json={"task": "none"}, headers=RIGHT)
    assert answer.status_code == 400, "the token stands for the origin"


def test_a_session_begins_with_the_password_and_ends(locked):
    client = locked.app.test_client()
    base = {"base_url": "https://localhost"}

    def submit(path: str, **fields: str):
        form = fields | {"csrf_token": csrf_token(client.get("/login", **base).text)}
        return client.post(path, data=form, headers={"Referer": "https://localhost/login"}, **base)

    wrong = submit("/login", password="the password of none")
    assert wrong.status_code == 401
    assert "not the password" in wrong.text
    right = submit("/login", password="the password of all", next="//evil.example/")
    assert right.headers["Location"] == "/"
    assert all(part in right.headers["Set-Cookie"] for part in ("HttpOnly", "SameSite=Strict", "Secure"))
    assert client.get("/runs", **base).status_code == client.get("/api/v1/runs", **base).status_code == 200
    kept = client.get_cookie("fer_session").value
    assert submit("/logout").status_code == 302
    assert client.get("/api/v1/runs", **base).status_code == 401
    client.set_cookie("fer_session", kept)  # also for whoever has copied it
    assert client.get("/api/v1/runs", **base).status_code == 401


def test_who_guesses_is_stopped_for_a_while_whatever_address_he_claims(web_settings, tmp_path):
    with served(web_settings, paths_in(tmp_path), token=TOKEN) as site:
        for number in range(5):
            headers = {"Authorization": f"Bearer {number}", "X-Forwarded-For": f"192.0.2.{number}"}
            assert site.get("/api/v1/runs", headers=headers).status_code == 401
        stopped = site.get("/api/v1/runs", headers=RIGHT)
        assert stopped.status_code == 429
        assert 0 < int(stopped.headers["Retry-After"]) <= 301
        assert "too many wrong passwords" in stopped.json()["error"]


def test_who_guesses_from_many_addresses_of_one_ipv6_network_is_one():
    sign_in = SignIn(("the password of all",))

    def guess(address: str) -> str:
        try:
            return str(sign_in.opens("wrong", address))
        except RequestError:
            return "stopped"

    assert [guess(f"2001:db8:1:2::{number:x}") for number in range(6)] == ["False"] * 5 + ["stopped"]
    assert guess("2001:db8:1:3::1") == "False", "another customer"
    assert [guess(f"::ffff:192.0.2.{number}") for number in range(6)] == ["False"] * 6
    assert [guess("192.0.2.1") for _ in range(5)] == ["False"] * 4 + ["stopped"], "the same one as ::ffff:192.0.2.1"


def test_nothing_of_an_upload_is_written_anywhere(web_settings, face, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with served(web_settings, paths_in(tmp_path)) as site:
        before = folder_contents(tmp_path)
        picture = face + bytes(3_000_000)  # Werkzeug and waitress would put this much on the disk
        for path in ("/api/v1/predict", "/api/v1/live"):
            answer = site.post(path, files={"image": ("../../evil.jpg", picture)}, data={"session": "12345678"})
            assert answer.status_code == 200, answer.text
            opened = [str(file.resolve()) for file in Path("/proc/self/fd").iterdir()]
            assert not [name for name in opened if name.startswith(str(temporary))]
        assert folder_contents(tmp_path) == before
