//! Manifests, what tags mean, referrers; what fails and what is asked again.

use super::*;

#[tokio::test]
async fn a_tag_is_resolved_by_head_with_our_own_headers_only() {
    let server = Server::start(|_| manifest().with("docker-content-digest", &digest().to_string())).await;
    let resolved = at(&server).resolve(&app(), &v1()).await.unwrap();
    assert_eq!(resolved.digest, digest());
    assert!(resolved.manifest.is_none());
    let [asked] = &server.asked()[..] else { panic!("asked once") };
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("HEAD", "/v2/acme/app/manifests/v1"));
    assert_eq!(asked.header("accept"), Some(ACCEPT_MANIFESTS));
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert_eq!(asked.header("user-agent"), Some(concat!("pullgate/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(asked.header("authorization"), None);
}

#[tokio::test]
async fn u12_what_we_ask_carries_our_name_so_that_our_own_door_knows_it() {
    let server = Server::start(|_| Reply::status(404)).await;
    let _ = at(&server).resolve(&app(), &v1()).await;
    let via = server.asked()[0].header("via").unwrap().parse().unwrap();
    assert!(is_loop(&::http::HeaderMap::from_iter([(::http::header::VIA, via)])));
}

#[tokio::test]
async fn a_tag_is_resolved_by_get_where_head_is_unknown_or_tells_no_digest() {
    // A front end that signs and routes GET alone answers HEAD like what is not there, or not allowed.
    let statuses = [400, 401, 403, 404, 405, 406, 416, 501].map(Reply::status);
    for head in statuses.into_iter().chain([manifest(), manifest().with("docker-content-digest", "sha256:abc")]) {
        let server = Server::start(move |asked| if asked.method == "HEAD" { head.clone() } else { manifest() }).await;
        let resolved = at(&server).resolve(&app(), &v1()).await.unwrap();
        assert_eq!(resolved.digest, digest());
        assert_eq!(resolved.manifest.unwrap().bytes, MANIFEST);
        assert_eq!(server.asked().len(), 2);
    }
    let server = Server::start(|_| Reply::status(404)).await;
    assert!(matches!(at(&server).resolve(&app(), &v1()).await, Err(UpstreamError::NotFound)));
    let server = Server::start(|_| Reply::status(429).with("retry-after", "120")).await;
    assert!(matches!(at(&server).resolve(&app(), &v1()).await, Err(UpstreamError::Throttled { .. })));
    assert_eq!(server.asked().len(), 1, "who asks for patience is not asked again");
}

/// A captive portal, a firewall, a maintenance page: neither what a tag means, nor that there is no evidence.
#[tokio::test]
async fn x6_a_page_in_place_of_a_tags_manifest_is_no_answer() {
    let page = "<html>maintenance</html>";
    for reply in [Reply::ok("text/html", page), Reply::ok(OCI_MANIFEST, page), Reply::status(200), Reply::ok("text/plain", "[]")]
    {
        let server = Server::start(move |_| reply.clone()).await;
        let answers =
            [at(&server).manifest(&app(), &by_tag()).await.map(drop), at(&server).resolve(&app(), &v1()).await.map(drop)];
        for answer in answers {
            assert!(matches!(&answer, Err(UpstreamError::Lied { what, .. }) if what.contains("what is none")), "{answer:?}");
        }
    }
    // What is published under a tag may be anything: a digest says so of it, and an object may be a manifest by any type.
    let published = Reply::ok("text/html", page).with("docker-content-digest", &Digest::sha256(page.as_bytes()).to_string());
    for reply in [published, Reply::ok("text/plain", "\n{}"), Reply::ok("application/json", "{")] {
        let server = Server::start(move |_| reply.clone()).await;
        at(&server).manifest(&app(), &by_tag()).await.unwrap();
    }
}

#[tokio::test]
async fn a_url_with_a_path_is_kept_in_front() {
    let server = Server::start(|_| manifest()).await;
    for path in ["/api/docker/remote", "/api/docker/remote/"] {
        let upstream = upstream(config(&format!("{}{path}", server.url())));
        upstream.manifest(&app(), &by_digest()).await.unwrap();
    }
    let line = format!("GET /api/docker/remote/v2/acme/app/manifests/{}", digest());
    assert_eq!(server.lines(), [line.clone(), line]);
}

#[tokio::test]
async fn x5_a_body_that_is_not_the_digest_asked_for_is_a_lie() {
    let server = Server::start(|_| Reply::ok(OCI_MANIFEST, "{}").with("docker-content-digest", &digest().to_string())).await;
    for reference in [by_digest(), by_tag()] {
        let asked = at(&server).manifest(&app(), &reference).await;
        assert!(matches!(&asked, Err(UpstreamError::Lied { what, .. }) if what.contains(&digest().to_string())), "{asked:?}");
    }
}

#[tokio::test]
async fn a_digest_of_either_algorithm_is_checked_by_its_own() {
    let server = Server::start(|_| manifest()).await;
    let long = Digest::of(crate::oci::Algorithm::Sha512, MANIFEST);
    let fetched = at(&server).manifest(&app(), &Reference::Digest(long)).await.unwrap();
    assert_eq!((fetched.digest, &fetched.bytes[..]), (long, MANIFEST));
    let other = Digest::of(crate::oci::Algorithm::Sha512, b"other");
    assert!(matches!(at(&server).manifest(&app(), &Reference::Digest(other)).await, Err(UpstreamError::Lied { .. })));
}

#[tokio::test]
async fn x6_the_content_type_is_passed_on_for_the_reader_to_judge() {
    let server = Server::start(|_| Reply::ok("text/html; charset=utf-8", MANIFEST)).await;
    let fetched = at(&server).manifest(&app(), &by_digest()).await.unwrap();
    assert_eq!(fetched.content_type.as_deref(), Some("text/html; charset=utf-8"));
}

#[tokio::test]
async fn x7_a_manifest_above_the_bound_is_not_read_however_it_comes() {
    let big = vec![b' '; MAX_MANIFEST + 1];
    let replies = [
        Reply::ok(OCI_MANIFEST, big.clone()),
        Reply::ok(OCI_MANIFEST, big).but(Fault::Chunked),
        Reply::ok(OCI_MANIFEST, vec![b' '; 64 << 10]).but(Fault::Endless),
        Reply::ok(OCI_MANIFEST, "{").but(Fault::Stalls(1 << 30)),
    ];
    for reply in replies {
        let server = Server::start(move |_| reply.clone()).await;
        let asked = at(&server).manifest(&app(), &by_digest()).await;
        assert!(matches!(asked, Err(UpstreamError::TooLarge { limit: 4_194_304, .. })), "{asked:?}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn x7_a_manifest_of_exactly_the_bound_is_read() {
    let bytes = vec![b' '; MAX_MANIFEST];
    let digest = Digest::sha256(&bytes);
    let server = Server::start(move |_| Reply::ok(OCI_MANIFEST, bytes.clone())).await;
    let fetched = at(&server).manifest(&app(), &Reference::Digest(digest)).await.unwrap();
    assert_eq!(fetched.bytes.len(), MAX_MANIFEST);
}

#[tokio::test]
async fn a10_an_encoded_answer_is_refused() {
    for encoding in ["gzip", "zstd", "identity, gzip"] {
        let server = Server::start(move |_| manifest().with("content-encoding", encoding)).await;
        let upstream = at(&server);
        let asked = upstream.manifest(&app(), &by_digest()).await.map(drop);
        assert!(matches!(&asked, Err(UpstreamError::Lied { what, .. }) if what.contains(encoding)), "{asked:?}");
        let blob = upstream.blob(&app(), &digest()).await.map(drop);
        assert!(matches!(blob, Err(UpstreamError::Lied { .. })), "{blob:?}");
    }
    let server = Server::start(|_| manifest().with("content-encoding", "Identity")).await;
    assert!(at(&server).manifest(&app(), &by_digest()).await.is_ok());
}

#[tokio::test]
async fn each_status_is_told_apart() {
    let shown = async |status: u16| {
        let server = Server::start(move |_| Reply::status(status)).await;
        let error = at(&server).manifest(&app(), &by_digest()).await.unwrap_err();
        let kind = match error {
            UpstreamError::Denied { status, .. } => format!("denied {status}"),
            UpstreamError::Failing { .. } => {
                assert!(error.to_string().contains(&format!(" fails: it answered {status} ")), "{error}");
                "failing".into()
            }
            UpstreamError::Forbidden(_) => "forbidden".into(),
            UpstreamError::Lied { .. } => "lied".into(),
            UpstreamError::NotFound => "not found".into(),
            UpstreamError::Throttled { .. } => "throttled".into(),
            UpstreamError::TooLarge { .. } => "too large".into(),
            UpstreamError::Unreachable { .. } => "unreachable".into(),
        };
        format!("{kind}, asked {}", server.asked().len())
    };
    let expected = [
        (401, "denied 401, asked 1"),
        (403, "denied 403, asked 1"),
        (404, "not found, asked 1"),
        (410, "not found, asked 1"),
        (400, "lied, asked 1"),
        (418, "lied, asked 1"),
        (204, "lied, asked 1"),
        (206, "lied, asked 1"),
        (429, "throttled, asked 3"),
        (500, "failing, asked 3"),
        (501, "failing, asked 1"),
        (502, "failing, asked 3"),
        (503, "failing, asked 3"),
    ];
    let told = futures_util::future::join_all(expected.map(|(status, _)| shown(status))).await;
    for ((status, expected), told) in expected.into_iter().zip(told) {
        assert_eq!(told, expected, "{status}");
    }
}

#[tokio::test]
async fn u11_a_registry_that_recovers_in_time_is_not_noticed() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::status(500),
        1 => Reply::status(503).with("retry-after", "1"),
        _ => manifest(),
    });
    let server = server.await;
    let started = std::time::Instant::now();
    at(&server).manifest(&app(), &by_digest()).await.unwrap();
    assert_eq!(server.asked().len(), 3);
    assert!(started.elapsed() >= Duration::from_secs(1), "Retry-After is honoured");
}

#[tokio::test]
async fn h9_a_registry_that_asks_for_more_patience_than_there_is_is_asked_once_and_its_wish_passed_on() {
    for status in [429, 503] {
        let server = Server::start(move |_| Reply::status(status).with("retry-after", "120")).await;
        let asked = at(&server).manifest(&app(), &by_digest()).await;
        let wish = Some(Duration::from_secs(120));
        assert!(matches!(&asked, Err(UpstreamError::Throttled { retry_after, .. }) if *retry_after == wish), "{asked:?}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn u11_nobody_at_the_other_end_is_unreachable_and_says_why() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let asked = upstream(config(&format!("http://{address}"))).manifest(&app(), &by_digest()).await;
    let error = asked.unwrap_err();
    assert!(matches!(error, UpstreamError::Unreachable { .. }));
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn u11_a_registry_that_is_gone_is_asked_once_a_second_whoever_asks_and_is_back_as_soon_as_it_answers() {
    let server = Server::start(|_| manifest()).await;
    let address = server.address;
    // Gone by its name, so that nothing happens but time, and that passes by itself.
    let (looked_up, alive) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, is_alive) = (Arc::clone(&looked_up), Arc::clone(&alive));
    let names = Names(Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        vec![address; is_alive.load(Ordering::Relaxed)]
    }));
    let upstream = upstream_with(config(&format!("http://registry.example:{}", address.port())), names);
    for _ in 0..8 {
        assert!(upstream.manifest(&app(), &by_digest()).await.unwrap_err().is_retryable());
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    let (before, started) = (looked_up.load(Ordering::Relaxed), tokio::time::Instant::now());
    for _ in 0..50 {
        assert!(upstream.manifest(&app(), &by_digest()).await.unwrap_err().is_retryable());
    }
    assert!(looked_up.load(Ordering::Relaxed) <= before + 1, "nearly all were told at once");
    assert!(started.elapsed() < Duration::from_secs(1));
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    alive.store(1, Ordering::Relaxed);
    for _ in 0..3 {
        upstream.manifest(&app(), &by_digest()).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_under_a_request_costs_no_attempt() {
    // Were it one, the third answer would have been the last.
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => manifest(),
        1 => Reply::status(500).but(Fault::Closes),
        2 | 3 => Reply::status(500),
        _ => manifest(),
    });
    let server = server.await;
    let upstream = at(&server);
    upstream.manifest(&app(), &by_digest()).await.unwrap();
    upstream.manifest(&app(), &by_digest()).await.unwrap();
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn u10_a_registry_that_never_answers_is_given_up_in_time() {
    let server = Server::start(|_| manifest().after(Duration::from_secs(600))).await;
    let (upstream, app, reference) = (at(&server), app(), by_digest());
    let (asked, ()) = tokio::join!(upstream.manifest(&app, &reference), server.let_pass(1, Duration::from_secs(11)));
    assert!(matches!(asked, Err(UpstreamError::Unreachable { .. })), "{asked:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn u13_a_slow_registry_is_waited_for() {
    let server = Server::start(|_| manifest().after(Duration::from_secs(8))).await;
    let (upstream, app, reference) = (at(&server), app(), by_digest());
    let (asked, ()) = tokio::join!(upstream.manifest(&app, &reference), server.let_pass(1, Duration::from_secs(8)));
    assert!(asked.is_ok(), "{asked:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn u10_a_manifest_that_breaks_off_or_stalls_is_unreachable() {
    let server = Server::start(|_| manifest().but(Fault::Announces(100))).await;
    let asked = at(&server).manifest(&app(), &by_digest()).await;
    assert!(matches!(asked, Err(UpstreamError::Unreachable { .. })), "{asked:?}");
    assert_eq!(server.asked().len(), 3);

    let server = Server::start(|_| manifest().but(Fault::Stalls(100))).await;
    let (upstream, app, reference) = (at(&server), app(), by_digest());
    let (asked, ()) = tokio::join!(upstream.manifest(&app, &reference), server.let_pass(1, Duration::from_secs(21)));
    assert!(matches!(asked, Err(UpstreamError::Unreachable { .. })), "{asked:?}");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn referrers_come_in_pages_whose_links_stay_in_the_repository() {
    let subject = digest();
    let server = Server::start(move |asked| {
        let page = Reply::ok(OCI_INDEX, asked.target.clone());
        match asked.target.split_once('?') {
            None => page.with("link", &format!("</v2/acme/app/referrers/{subject}?page=2&x=%2F>; rel=\"next\"")),
            Some((_, "page=2&x=%2F")) => page.with("link", "<?page=3>; rel=next"),
            Some(_) => page,
        }
    });
    let server = server.await;
    let upstream = at(&server);
    let (mut next, mut pages) = (None, 0);
    loop {
        let answer = upstream.referrers(&app(), &subject, next.as_deref()).await.unwrap();
        let ReferrersAnswer::Page(page) = answer else { panic!("{answer:?}") };
        next = page.next;
        pages += 1;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(pages, 3);
    let path = format!("GET /v2/acme/app/referrers/{subject}");
    assert_eq!(server.lines(), [path.clone(), format!("{path}?page=2&x=%2F"), format!("{path}?page=3")]);
    assert!(server.asked().iter().all(|asked| asked.header("accept") == Some(OCI_INDEX)));
}

#[tokio::test]
async fn x3_a_link_out_of_the_repository_is_refused_both_when_given_and_when_used() {
    let trap = Server::trap([127, 0, 0, 3]).await;
    let outside = [
        format!("{}/v2/acme/app/referrers/x", trap.url()),
        "/v2/acme/other/referrers/x".into(),
        "/v2/acme/app/../other/x".into(),
        "/v2/acme/app/%2e%2e/other/x".into(),
        "//127.0.0.3/v2/acme/app/x".into(),
        "https:///v2/acme/app/x".into(),
        format!("/v2/acme/app/{}", "x".repeat(10_000)),
    ];
    for link in outside {
        let header = format!("<{link}>; rel=\"next\"");
        let server = Server::start(move |_| Reply::ok(OCI_INDEX, "{}").with("link", &header)).await;
        let upstream = at(&server);
        let given = upstream.referrers(&app(), &digest(), None).await;
        assert!(matches!(given, Err(UpstreamError::Lied { .. })), "{link} {given:?}");
        let used = upstream.referrers(&app(), &digest(), Some(&link)).await;
        assert!(matches!(used, Err(UpstreamError::Lied { .. })), "{link} {used:?}");
        assert_eq!(server.asked().len(), 1);
    }
    assert_eq!(trap.connections(), 0);
}

#[tokio::test]
async fn x14_a_registry_without_the_referrers_api_is_known_by_its_answer() {
    let absent = [400, 404, 405, 406, 501].map(Reply::status);
    let html = [Reply::ok("text/html", "<html>"), Reply::ok("application/json", "{}"), Reply::status(200)];
    for reply in absent.into_iter().chain(html) {
        let server = Server::start(move |_| reply.clone()).await;
        let answer = at(&server).referrers(&app(), &digest(), None).await;
        assert!(matches!(answer, Ok(ReferrersAnswer::NoApi)), "{answer:?}");
        assert_eq!(server.asked().len(), 1);
        // But half a list is not no list.
        let answer = at(&server).referrers(&app(), &digest(), Some("/v2/acme/app/referrers/x?page=2")).await;
        assert!(matches!(answer, Err(UpstreamError::Lied { .. })), "{answer:?}");
    }
    for (status, kind) in [(403, "Denied"), (500, "Failing")] {
        let server = Server::start(move |_| Reply::status(status)).await;
        let error = at(&server).referrers(&app(), &digest(), None).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(kind), "{error:?}");
    }
}

#[tokio::test]
async fn x3_a_page_of_referrers_above_the_bound_is_not_read() {
    let server = Server::start(|_| Reply::ok(OCI_INDEX, vec![b' '; 64 << 10]).but(Fault::Endless)).await;
    let answer = at(&server).referrers(&app(), &digest(), None).await;
    assert!(matches!(answer, Err(UpstreamError::TooLarge { .. })), "{answer:?}");
}
