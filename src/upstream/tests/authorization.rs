//! Challenges, tokens, credentials.

use super::*;

const BASIC: &str = "Basic cm9ib3Q6aHVudGVyMg==";

/// A registry that wants a token of its own making, and counts those it made.
async fn token_registry(token: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |asked| match (asked.path(), asked.header("authorization")) {
        ("/token", _) => token(asked),
        (_, Some("Bearer good")) => manifest(),
        _ => {
            let host = asked.header("host").unwrap();
            let challenge = format!("Bearer realm=\"http://{host}/token?a=b\",service=\"acme service\",scope=\"repository:x:*\"");
            Reply::status(401).with("www-authenticate", &challenge)
        }
    })
    .await
}

fn token(body: &str) -> Reply {
    Reply::ok("application/json", body)
}

/// A configuration with a docker `config.json` of this text.
fn with_credentials(server: &Server, docker: &serde_json::Value) -> (tempfile::TempDir, RegistryConfig) {
    let (kept, docker_config) = file(&docker.to_string());
    (kept, RegistryConfig { docker_configs: vec![docker_config], ..config(&server.url()) })
}

fn robot(server: &Server) -> (tempfile::TempDir, RegistryConfig) {
    with_credentials(server, &json!({"auths": {server.address.to_string(): {"auth": &BASIC[6..]}}}))
}

#[tokio::test]
async fn a_token_is_asked_for_once_with_our_own_scope_and_used_again() {
    let server = token_registry(|_| token(r#"{"token":"good","expires_in":300}"#)).await;
    let upstream = at(&server);
    for _ in 0..3 {
        upstream.manifest(&app(), &by_digest()).await.unwrap();
    }
    let path = format!("GET /v2/acme/app/manifests/{}", digest());
    let token = "GET /token?a=b&service=acme+service&scope=repository%3Aacme%2Fapp%3Apull".to_owned();
    assert_eq!(server.lines(), [path.clone(), token, path.clone(), path.clone(), path]);
    assert_eq!(server.asked()[1].header("authorization"), None);
    // Another repository has a token of its own, and needs no challenge.
    upstream.manifest(&"acme/other".parse().unwrap(), &by_digest()).await.unwrap();
    assert!(server.lines()[5].ends_with("scope=repository%3Aacme%2Fother%3Apull"), "{:?}", server.lines());
    assert_eq!(server.asked().len(), 7);
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_token() {
    let server = token_registry(|_| token(r#"{"access_token":"good"}"#).after(Duration::from_millis(20))).await;
    let upstream = at(&server);
    let asking = (0..20).map(|_| async { upstream.manifest(&app(), &by_digest()).await });
    for answer in futures_util::future::join_all(asking).await {
        answer.unwrap();
    }
    assert_eq!(server.asked().iter().filter(|asked| asked.path() == "/token").count(), 1);
}

#[tokio::test]
async fn the_password_is_shown_to_the_realm_and_the_token_to_the_registry() {
    let server = token_registry(|asked| match asked.header("authorization") {
        Some(BASIC) => token(r#"{"token":"good"}"#),
        _ => Reply::status(401),
    });
    let server = server.await;
    let (_kept, config) = robot(&server);
    upstream(config).manifest(&app(), &by_digest()).await.unwrap();
    assert!(
        server.asked().iter().filter(|asked| asked.path() != "/token").all(|asked| asked.header("authorization") != Some(BASIC))
    );
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let server = token_registry(|asked| {
        let form = "grant_type=refresh_token&client_id=pullgate&scope=repository%3Aacme%2Fapp%3Apull&refresh_token=se%26cret\
                    &service=acme+service";
        if asked.method == "POST" && asked.body == form { token(r#"{"access_token":"good"}"#) } else { Reply::status(401) }
    });
    let server = server.await;
    let docker = json!({"auths": {server.address.to_string(): {"auth": "eDp4", "identitytoken": "se&cret"}}});
    let (_kept, config) = with_credentials(&server, &docker);
    upstream(config).manifest(&app(), &by_digest()).await.unwrap();
}

#[tokio::test]
async fn basic_is_answered_with_the_password_and_brought_along_from_then_on() {
    let server = Server::start(|asked| match asked.header("authorization") {
        Some(BASIC) => manifest(),
        _ => Reply::status(401).with("www-authenticate", "Basic realm=\"acme\""),
    });
    let server = server.await;
    let (_kept, config) = robot(&server);
    let upstream = upstream(config);
    for _ in 0..2 {
        upstream.manifest(&app(), &by_digest()).await.unwrap();
    }
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_refused_credential_is_denied_and_not_tried_for_ever() {
    let basic = || Reply::status(401).with("www-authenticate", "Basic realm=\"acme\"");
    let server = Server::start(move |_| basic()).await;
    let (_kept, config) = robot(&server);
    let upstream = upstream(config);
    for times in [2, 4] {
        let asked = upstream.manifest(&app(), &by_digest()).await;
        assert!(matches!(asked, Err(UpstreamError::Denied { status: 401, shown: true, .. })), "{asked:?}");
        assert!(server.asked().len() <= times);
    }
    let anonymous = at(&server).manifest(&app(), &by_digest()).await.unwrap_err();
    assert!(matches!(anonymous, UpstreamError::Denied { status: 401, shown: false, .. }), "{anonymous:?}");
    assert!(anonymous.to_string().ends_with("denied us, and we know no credentials for it (401)"), "{anonymous}");
    // What Basic cannot take is not shown.
    let (_kept, config) = with_credentials(&server, &json!({"auths": {server.address.to_string(): {"identitytoken": "t"}}}));
    let asked = self::upstream(config).manifest(&app(), &by_digest()).await;
    assert!(matches!(asked, Err(UpstreamError::Denied { status: 401, shown: false, .. })), "{asked:?}");
    // A token that everybody gets shows nothing of ours, and one for a credential does.
    let server = token_registry(|_| token(r#"{"token":"bad"}"#)).await;
    let asked = at(&server).manifest(&app(), &by_digest()).await;
    assert!(matches!(asked, Err(UpstreamError::Denied { status: 401, shown: false, .. })), "{asked:?}");
    let (_kept, config) = with_credentials(&server, &json!({"auths": {server.address.to_string(): {"identitytoken": "t"}}}));
    let asked = self::upstream(config).manifest(&app(), &by_digest()).await.unwrap_err();
    assert!(asked.to_string().ends_with("refused our credentials (401)"), "{asked}");
}

#[tokio::test]
async fn the_first_file_that_has_credentials_for_what_is_asked_counts() {
    let wants = |asked: &Asked| match asked.header("authorization") {
        Some(BASIC) => manifest(),
        _ => Reply::status(401).with("www-authenticate", "Basic"),
    };
    let server = Server::start(wants).await;
    let host = server.address.to_string();
    let (right, wrong) = (json!({"auth": &BASIC[6..]}), json!({"username": "a", "password": "b"}));
    let files = [
        file("{}"),
        file(&json!({"auths": {"elsewhere.test": wrong, format!("{host}/acme/other"): wrong}}).to_string()),
        file(&json!({"auths": {&host: right}}).to_string()),
        file(&json!({"auths": {&host: wrong}}).to_string()),
    ];
    let asked = async |order: [usize; 3]| {
        let docker_configs = order.map(|at| files[at].1.clone()).to_vec();
        upstream(RegistryConfig { docker_configs, ..config(&server.url()) }).manifest(&app(), &by_digest()).await
    };
    asked([0, 1, 2]).await.unwrap();
    asked([1, 2, 3]).await.unwrap();
    let refused = asked([1, 3, 2]).await;
    assert!(matches!(refused, Err(UpstreamError::Denied { shown: true, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_is_fetched_anew_once() {
    let count = AtomicUsize::new(0);
    let server = token_registry(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => token(r#"{"token":"bad","expires_in":3600}"#),
        _ => token(r#"{"token":"good","expires_in":3600}"#),
    });
    let server = server.await;
    let upstream = at(&server);
    let first = upstream.manifest(&app(), &by_digest()).await;
    assert!(matches!(first, Err(UpstreamError::Denied { status: 401, .. })), "{first:?}");
    upstream.manifest(&app(), &by_digest()).await.unwrap();
    assert_eq!(server.asked().iter().filter(|asked| asked.path() == "/token").count(), 2);
}

#[tokio::test]
async fn u3_a_token_lives_between_a_minute_and_an_hour_whatever_it_says() {
    for (expires, good_until, bad_from) in [
        ("", 45, 61),
        (r#","expires_in":-5"#, 45, 61),
        (r#","expires_in":"300""#, 45, 61),
        (r#","expires_in":300"#, 280, 301),
        (r#","expires_in":1e300"#, 3500, 3601),
        (r#","expires_in":99999999999"#, 3500, 3601),
    ] {
        let body = format!(r#"{{"token":"good"{expires}}}"#);
        let server = token_registry(move |_| token(&body)).await;
        let upstream = at(&server);
        let tokens = || server.asked().iter().filter(|asked| asked.path() == "/token").count();
        upstream.manifest(&app(), &by_digest()).await.unwrap();
        server.let_pass(0, Duration::from_secs(good_until)).await;
        upstream.manifest(&app(), &by_digest()).await.unwrap();
        assert_eq!(tokens(), 1, "{expires}");
        server.let_pass(0, Duration::from_secs(bad_from - good_until)).await;
        upstream.manifest(&app(), &by_digest()).await.unwrap();
        assert_eq!(tokens(), 2, "{expires}");
    }
}

#[tokio::test]
async fn u3_a_token_endpoint_that_redirects_floods_or_babbles_is_given_up() {
    let trap = Server::trap([127, 0, 0, 3]).await;
    let location = trap.url();
    let replies = [
        Reply::redirect(location),
        token(&"x".repeat(70_000)),
        token("x").but(Fault::Stalls(1 << 30)),
        token(&"x".repeat(1000)).but(Fault::Endless),
        token(&"[".repeat(10_000)),
        token(r#"{"token":""}"#),
        token(r#"{"token":"a\nb"}"#),
        token("{}"),
        token(r#"{"token":"good"}"#).with("content-encoding", "gzip"),
        Reply::status(400),
    ];
    for reply in replies {
        let sent = reply.clone();
        let server = token_registry(move |_| sent.clone()).await;
        let asked = at(&server).manifest(&app(), &by_digest()).await;
        assert!(matches!(asked, Err(UpstreamError::Lied { .. } | UpstreamError::TooLarge { .. })), "{reply:?} {asked:?}");
        assert_eq!(server.asked().len(), 2);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn what_a_token_endpoint_answers_is_told_apart() {
    let told = async |status, retry_after: &'static str| {
        let reply = move || Reply::status(status).with("retry-after", retry_after);
        let server = token_registry(move |_| if retry_after.is_empty() { Reply::status(status) } else { reply() }).await;
        format!("{:?}", at(&server).manifest(&app(), &by_digest()).await.unwrap_err())
    };
    let expected = [
        (401, "", "Denied"),
        (403, "", "Denied"),
        (429, "", "Throttled"),
        (503, "", "Failing"),
        (503, "60", "Throttled"),
        (500, "60", "Failing"),
    ];
    let told = futures_util::future::join_all(expected.map(|(status, retry_after, _)| told(status, retry_after))).await;
    for ((status, retry_after, kind), told) in expected.into_iter().zip(told) {
        assert!(told.starts_with(kind), "{status} {retry_after} {told}");
        assert_eq!(told.contains("retry_after: Some(60s)"), (status, retry_after) == (503, "60"), "{told}");
    }
}

/// Asks an upstream on 127.0.0.2, which has our password and challenges with `challenge`.
async fn challenged(
    challenges: &[String],
    change: impl FnOnce(&mut RegistryConfig),
) -> (Server, Result<FetchedManifest, UpstreamError>) {
    let challenges = challenges.to_vec();
    let server = Server::start_on([127, 0, 0, 2], None, move |asked| {
        if asked.header("authorization") == Some("Bearer trapped") {
            return manifest();
        }
        challenges.iter().fold(Reply::status(401), |reply, challenge| reply.with("www-authenticate", challenge))
    });
    let server = server.await;
    let (_kept, mut config) = robot(&server);
    change(&mut config);
    let asked = upstream(config).manifest(&app(), &by_digest()).await;
    (server, asked)
}

#[tokio::test]
async fn u2_a_realm_on_another_host_sees_no_connection_and_the_key_is_named() {
    let trap = Server::trap([127, 0, 0, 3]).await;
    let port = trap.address.port();
    let bearer = |realm: &str| format!("Bearer realm=\"{realm}\",service=\"x\"");
    for challenges in [
        vec![bearer(&trap.url())],
        vec![bearer(&format!("http://127.0.0.2.evil.example:{port}/"))],
        vec![bearer(&format!("http://user@127.0.0.3:{port}/"))],
        vec![bearer(&format!("http://127.0.0.2@127.0.0.3:{port}/"))],
        vec![bearer(&format!("http://localhost:{port}/"))],
        vec![bearer("http://169.254.169.254/")],
        vec![bearer("file:///etc/passwd")],
        vec![bearer("")],
        vec![bearer("/token")],
        vec![bearer(&format!("http://127.0.0.2/{}", "x".repeat(10_000)))],
        // The first of two is taken, as it stands.
        vec![format!("{}, {}", bearer(&trap.url()), bearer("http://127.0.0.2/"))],
        vec!["Basic realm=\"x\"".into(), bearer(&trap.url())],
    ] {
        let (server, asked) = challenged(&challenges, |_| ()).await;
        assert!(matches!(asked, Err(UpstreamError::Forbidden(_))), "{challenges:?} {asked:?}");
        assert_eq!(server.asked().len(), 1);
        assert_eq!(server.asked()[0].header("authorization"), None);
    }
    assert_eq!(trap.connections(), 0);
    let (_, asked) = challenged(&[bearer(&trap.url())], |_| ()).await;
    let told = asked.unwrap_err().to_string();
    assert!(told.contains(&format!("put `127.0.0.3:{port}` in its `auth_hosts` in a configuration (`--config`)")), "{told}");
    // Without credentials too.
    let (_, asked) = challenged(&[bearer(&trap.url())], |config| config.docker_configs.clear()).await;
    assert!(matches!(asked, Err(UpstreamError::Forbidden(_))), "{asked:?}");
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn a_realm_in_auth_hosts_is_asked() {
    let realm = Server::trap([127, 0, 0, 3]).await;
    let challenge = format!("Bearer realm=\"{}/auth\",service=\"x\"", realm.url());
    let host = realm.address.to_string();
    let (_, asked) = challenged(&[challenge], |config| config.auth_hosts = vec![host]).await;
    asked.unwrap();
    assert_eq!(realm.asked()[0].header("authorization"), Some(BASIC));
}

#[tokio::test]
async fn u2_https_never_gets_a_realm_without_tls_even_on_its_own_host() {
    let trap = Server::trap([127, 0, 0, 1]).await;
    let authority = Authority::new();
    let realm = format!("Bearer realm=\"{}/token\"", trap.url());
    let tls = authority.server("127.0.0.1", 2100);
    let server = Server::start_on([127, 0, 0, 1], Some(tls), move |_| Reply::status(401).with("www-authenticate", &realm)).await;
    let (_kept, ca) = file(&authority.pem);
    let (url, auth_hosts) = (format!("https://{}", server.address), vec![trap.address.to_string()]);
    let asked = upstream(RegistryConfig { ca: Some(ca), auth_hosts, ..config(&url) }).manifest(&app(), &by_digest()).await;
    assert!(matches!(&asked, Err(UpstreamError::Forbidden(why)) if why.contains("not https")), "{asked:?}");
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn u6_credentials_of_another_host_or_port_are_not_used() {
    let server = Server::start(|_| Reply::status(401).with("www-authenticate", "Basic realm=\"acme\"")).await;
    let port = server.address.port();
    for key in ["127.0.0.1", "127.0.0.1:1", &format!("127.0.0.1.evil:{port}"), &format!("127.0.0.1:{port}/other"), "0.0.1", ""] {
        let (_kept, config) = with_credentials(&server, &json!({"auths": {key: {"auth": &BASIC[6..]}}}));
        let asked = upstream(config).manifest(&app(), &by_digest()).await;
        assert!(matches!(asked, Err(UpstreamError::Denied { .. })), "{key} {asked:?}");
    }
    assert!(server.asked().iter().all(|asked| asked.header("authorization").is_none()));
}

#[tokio::test]
async fn u6_two_credentials_for_one_host_have_tokens_of_their_own() {
    let server = token_registry(|_| token(r#"{"token":"good","expires_in":300}"#)).await;
    let host = server.address.to_string();
    let (kept, config) = with_credentials(&server, &json!({"auths": {&host: {"username": "one", "password": "1"}}}));
    let upstream = upstream(config);
    upstream.manifest(&app(), &by_digest()).await.unwrap();
    // The file changes, and with it who we are.
    std::fs::write(kept.path().join("file"), json!({"auths": {&host: {"username": "two", "password": "two"}}}).to_string())
        .unwrap();
    upstream.manifest(&app(), &by_digest()).await.unwrap();
    let shown: Vec<_> = server
        .asked()
        .iter()
        .filter(|asked| asked.path() == "/token")
        .map(|asked| asked.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(shown, [Some("Basic b25lOjE=".to_owned()), Some("Basic dHdvOnR3bw==".to_owned())]);
}

#[tokio::test]
async fn a_credential_file_that_becomes_unreadable_is_not_taken_for_no_credentials() {
    let server = Server::start(|_| Reply::status(401).with("www-authenticate", "Basic realm=\"acme\"")).await;
    let (kept, config) = robot(&server);
    let upstream = upstream(config);
    std::fs::remove_file(kept.path().join("file")).unwrap();
    let asked = upstream.manifest(&app(), &by_digest()).await;
    assert!(matches!(&asked, Err(UpstreamError::Unreachable { .. })), "{asked:?}");
    assert!(asked.unwrap_err().to_string().contains(kept.path().to_str().unwrap()));
}

#[tokio::test]
async fn a_credential_helper_that_cannot_be_run_is_told_and_not_run_again_at_once() {
    let server = Server::start(|_| Reply::status(401).with("www-authenticate", "Basic realm=\"acme\"")).await;
    let docker = json!({"credHelpers": {server.address.to_string(): "pullgate-test-nonexistent"}});
    let (_kept, config) = with_credentials(&server, &docker);
    let asked = upstream(config).manifest(&app(), &by_digest()).await;
    assert!(matches!(&asked, Err(UpstreamError::Unreachable { .. })), "{asked:?}");
    // It was reached.
    let told = asked.unwrap_err().to_string();
    assert!(told.contains(" wants credentials that cannot be had: ") && told.contains("credential helper"), "{told}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn j4_an_upstream_does_not_show_its_secrets() {
    let server = token_registry(|_| token(r#"{"token":"good"}"#)).await;
    let (_kept, config) = robot(&server);
    let upstream = upstream(config);
    upstream.manifest(&app(), &by_digest()).await.unwrap();
    let shown = format!("{upstream:?}");
    assert!(["hunter2", &BASIC[6..], "good"].iter().all(|secret| !shown.contains(secret)), "{shown}");
}
