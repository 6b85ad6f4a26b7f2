//! Lists of tags.

use super::*;

fn tags_reply(tags: &[&str]) -> Reply {
    Reply::ok("application/json", json!({"name": "acme/app", "tags": tags}).to_string())
}

#[tokio::test]
async fn tags_are_sorted_bounded_and_after_last() {
    let server = Server::start(|_| tags_reply(&["v2", "v10", "latest", "not a tag", "v1"])).await;
    let upstream = at(&server);
    let page = async |n, last| {
        let page = upstream.tags(&app(), n, last).await.unwrap();
        (page.tags.join(" "), page.more)
    };
    assert_eq!(page(None, None).await, ("latest v1 v10 v2".into(), false));
    assert_eq!(page(Some(2), None).await, ("latest v1".into(), true));
    assert_eq!(page(Some(2), Some("v1")).await, ("v10 v2".into(), false));
    assert_eq!(page(Some(0), None).await, (String::new(), false));
    // Always a page that tells the order; and from the start where what comes after `last` is seen to be in none.
    let query = |line: &String| line.split_once("list").unwrap().1.to_owned();
    let asked = ["?n=1000", "?n=1000", "?n=1000&last=v1", "?n=1000", "?n=1000"];
    assert_eq!(server.lines().iter().map(query).collect::<Vec<_>>(), asked);
}

/// A registry with pages of 50, by its `order` of `tag-000` to `tag-{many}`: after what its `last` says, a tag or a cursor.
async fn paged(many: usize, order: fn(usize) -> usize, takes_tags: bool, link: &'static str) -> Server {
    Server::start(move |asked| {
        let query = asked.target.split_once('?').unwrap().1;
        let tags: Vec<String> = (0..many).map(|at| format!("tag-{:03}", order(at) % many)).collect();
        let at = match query.split('&').find_map(|pair| pair.strip_prefix("last=")) {
            None => 0,
            Some(last) => match last.strip_prefix("cursor-") {
                Some(at) => at.parse().unwrap(),
                None if takes_tags => tags.iter().position(|tag| tag == last).unwrap() + 1,
                None => return Reply::status(405),
            },
        };
        let page: Vec<&str> = tags.iter().skip(at).take(50).map(String::as_str).collect();
        let reply = tags_reply(&page);
        if at + 50 < many {
            reply.with("link", &format!("<{link}/tags/list?n=50&last=cursor-{}>; rel=\"next\"", at + 50))
        } else {
            reply
        }
    })
    .await
}

/// What a client gets that follows all pages of `n`.
async fn followed(server: &Server, n: u32) -> (Vec<String>, Vec<usize>) {
    let (upstream, mut all, mut requests) = (at(server), Vec::<String>::new(), Vec::new());
    loop {
        let before = server.asked().len();
        let page = upstream.tags(&app(), Some(n), all.last().map(String::as_str)).await.unwrap();
        requests.push(server.asked().len() - before);
        assert!(page.tags.len() <= n as usize && (!page.more || !page.tags.is_empty()));
        all.extend(page.tags);
        if !page.more {
            return (all, requests);
        }
    }
}

#[tokio::test]
async fn a_client_gets_all_tags_in_order_whatever_order_and_cursors_a_registry_has() {
    let all: Vec<String> = (0..170).map(|at| format!("tag-{at:03}")).collect();
    let (own, elsewhere) = ("/v2/acme/app", "http://nexus.internal:8081/repository/app/v2/app");
    // In order: a request a page, and one more where the rest is too short to tell.
    let (found, requests) = followed(&paged(170, |at| at, true, own).await, 1_000).await;
    assert_eq!((found, requests), (all.clone(), vec![1, 1, 1, 1]));
    let (found, requests) = followed(&paged(160, |at| at, true, own).await, 1_000).await;
    assert_eq!((found.len(), requests), (160, vec![1, 1, 1, 2]));
    // A front end's links name what is behind it, a cursor takes no tag, and what was pushed last comes first or anywhere.
    for (order, takes_tags, link) in [
        ((|at| at) as fn(usize) -> usize, true, elsewhere),
        (|at| at, false, own),
        (|at| 169 - at, true, own),
        (|at| at * 77, true, own),
        (|at| at * 77, false, elsewhere),
        // In order at first.
        (|at| if at < 60 { at } else { 229 - at }, true, own),
    ] {
        for n in [7, 50, 1_000] {
            let (found, _) = followed(&paged(170, order, takes_tags, link).await, n).await;
            assert_eq!(found, all, "{takes_tags} {link} {n}");
        }
    }
}

#[tokio::test]
async fn pages_of_tags_are_followed_where_a_registry_ignores_last() {
    let server = Server::start(|asked| match asked.target.split_once('?') {
        Some((_, "token=2")) => tags_reply(&["c", "d"]),
        _ => tags_reply(&["a", "b"]).with("link", "</v2/acme/app/tags/list?token=2>; rel=next"),
    });
    let server = server.await;
    let page = at(&server).tags(&app(), Some(2), Some("b")).await.unwrap();
    assert_eq!((page.tags.join(" "), page.more), ("c d".into(), false));
    // And no further than to the first after `last`, where they are in order.
    let server = Server::start(|asked| {
        let at: u32 = asked.target.split_once("token=").map_or(0, |(_, token)| token.parse().unwrap());
        let tags: Vec<String> = (at..at + 20).map(|at| format!("tag-{at:03}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        tags_reply(&tags).with("link", &format!("<list?token={}>; rel=next", at + 20))
    });
    let server = server.await;
    let page = at(&server).tags(&app(), Some(2), Some("tag-030")).await.unwrap();
    assert_eq!((page.tags.join(" "), page.more), ("tag-031 tag-032".into(), true));
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn x3_pages_of_tags_without_end_are_given_up_and_links_lead_nowhere_else() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let next = format!("<https://evil.test/v2/acme/app/tags/list?page={}>; rel=next", count.fetch_add(1, Ordering::Relaxed));
        tags_reply(&["b", "a"]).with("link", &next)
    });
    let server = server.await;
    let asked = at(&server).tags(&app(), None, Some("b")).await;
    assert!(matches!(asked, Err(UpstreamError::Lied { .. })), "{asked:?}");
    assert_eq!(server.asked().len(), 101);
    // Nor are pages without end of tags without end.
    let tags: Vec<String> = (0..110_000).rev().map(|at| at.to_string()).collect();
    let page = tags_reply(&tags.iter().map(String::as_str).collect::<Vec<_>>());
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        page.clone().with("link", &format!("<list?page={}>; rel=next", count.fetch_add(1, Ordering::Relaxed)))
    });
    let server = server.await;
    let asked = at(&server).tags(&app(), None, None).await;
    assert!(matches!(asked, Err(UpstreamError::Lied { .. })), "{asked:?}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_list_of_tags_that_is_none_is_a_lie_and_null_is_empty() {
    let server = Server::start(|_| Reply::ok("application/json", r#"{"name":"acme/app","tags":null}"#)).await;
    assert_eq!(at(&server).tags(&app(), None, None).await.unwrap().tags, Vec::<String>::new());
    for body in ["", "{}", "<html>", r#"{"tags":["a"],"Tags":["b"]}"#] {
        let server = Server::start(move |_| Reply::ok("application/json", body)).await;
        assert!(matches!(at(&server).tags(&app(), None, None).await, Err(UpstreamError::Lied { .. })), "{body}");
    }
}
