//! Blobs: streamed, sized, redirected, broken.

use super::*;

#[tokio::test]
async fn a_blob_is_streamed_with_its_size() {
    let bytes = vec![7; 3 << 20];
    let digest = Digest::sha256(&bytes);
    let sent = bytes.clone();
    let server = Server::start(move |_| Reply::ok("application/octet-stream", sent.clone())).await;
    let upstream = at(&server);
    assert_eq!(upstream.blob_size(&app(), &digest).await.unwrap(), 3 << 20);
    let blob = upstream.blob(&app(), &digest).await.unwrap();
    assert_eq!(blob.size, Some(3 << 20));
    assert_eq!(whole(blob).await.unwrap(), bytes);
    let path = format!("/v2/acme/app/blobs/{digest}");
    assert_eq!(server.lines(), [format!("HEAD {path}"), format!("GET {path}")]);
}

#[tokio::test]
async fn a_blob_without_announced_length_is_streamed_to_its_end() {
    let server = Server::start(|_| Reply::ok("application/octet-stream", "blob").but(Fault::Chunked)).await;
    let blob = at(&server).blob(&app(), &digest()).await.unwrap();
    assert_eq!(blob.size, None);
    assert_eq!(whole(blob).await.unwrap(), b"blob");
}

#[tokio::test]
async fn u10_a_blob_shorter_than_announced_breaks_the_stream() {
    let server = Server::start(|_| Reply::ok("application/octet-stream", "blob").but(Fault::Announces(5))).await;
    let blob = at(&server).blob(&app(), &digest()).await.unwrap();
    assert_eq!(blob.size, Some(5));
    let read = whole(blob).await;
    assert!(matches!(read, Err(UpstreamError::Unreachable { lost: Lost::Answer, .. })), "{read:?}");
}

#[tokio::test]
async fn u10_what_comes_after_the_announced_length_is_not_passed_on() {
    let server = Server::start(|_| Reply::ok("application/octet-stream", "blob and more").but(Fault::Announces(4))).await;
    let blob = at(&server).blob(&app(), &digest()).await.unwrap();
    assert_eq!((blob.size, whole(blob).await.unwrap()), (Some(4), b"blob".to_vec()));
}

#[tokio::test]
async fn u10_a_blob_that_stalls_breaks_the_stream_after_30_s() {
    let server = Server::start(|_| Reply::ok("application/octet-stream", "blob").but(Fault::Stalls(5))).await;
    let blob = at(&server).blob(&app(), &digest()).await.unwrap();
    let mut pieces = blob.pieces;
    assert_eq!(pieces.next().await.unwrap().unwrap(), "blob");
    let (error, ()) = tokio::join!(pieces.next(), server.let_pass(1, Duration::from_secs(31)));
    let error = error.unwrap().unwrap_err();
    assert!(error.to_string().contains("nothing for 30 s"), "{error}");
    assert!(pieces.next().await.is_none());
}

#[tokio::test]
async fn a_blob_that_is_not_there_is_not_found() {
    let server = Server::start(|_| Reply::status(404)).await;
    assert!(matches!(at(&server).blob(&app(), &digest()).await, Err(UpstreamError::NotFound)));
    assert!(matches!(at(&server).blob_size(&app(), &digest()).await, Err(UpstreamError::NotFound)));
}

/// A registry that sends blobs to a store, and a store that answers with what it was shown.
async fn registry_and_store(head: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> (Server, Server) {
    let store =
        Server::start_on([127, 0, 0, 3], None, move |asked| head(asked).unwrap_or(Reply::ok("binary/octet-stream", "blob")));
    let store = store.await;
    let location = format!("{}/bucket/blob?X-Amz-Signature=secret", store.url());
    let registry = Server::start(move |asked| match asked.header("authorization") {
        None => Reply::status(401).with("www-authenticate", "Basic realm=\"acme\""),
        Some(_) => Reply::redirect(&location).with("set-cookie", "session=1"),
    });
    (registry.await, store)
}

/// An upstream with a password, that may send us to `store`.
fn with_store(registry: &Server, store: &Server) -> (tempfile::TempDir, Arc<dyn Upstream>) {
    let auths = json!({"auths": {registry.address.to_string(): {"username": "robot", "password": "hunter2"}}});
    let (kept, docker_config) = file(&auths.to_string());
    let allow_hosts = vec![store.address.to_string()];
    (kept, upstream(RegistryConfig { docker_configs: vec![docker_config], allow_hosts, ..config(&registry.url()) }))
}

#[tokio::test]
async fn u5_a_redirect_is_followed_without_authorization_or_cookies() {
    let (registry, store) = registry_and_store(|_| None).await;
    let (_kept, upstream) = with_store(&registry, &store);
    let blob = upstream.blob(&app(), &digest()).await.unwrap();
    assert_eq!(whole(blob).await.unwrap(), b"blob");
    assert!(registry.asked().iter().any(|asked| asked.header("authorization").is_some()));
    let [asked] = &store.asked()[..] else { panic!("asked once") };
    assert_eq!(asked.target, "/bucket/blob?X-Amz-Signature=secret");
    assert_eq!((asked.header("authorization"), asked.header("cookie")), (None, None));
    assert_eq!(asked.header("host"), Some(store.address.to_string().as_str()));
}

#[tokio::test]
async fn the_size_is_asked_by_get_where_a_link_is_signed_for_get_only() {
    let (registry, store) = registry_and_store(|asked| (asked.method == "HEAD").then(|| Reply::status(403))).await;
    let (_kept, upstream) = with_store(&registry, &store);
    assert_eq!(upstream.blob_size(&app(), &digest()).await.unwrap(), 4);
    assert_eq!(store.asked().iter().map(|asked| asked.method.as_str()).collect::<Vec<_>>(), ["HEAD", "GET"]);
}

#[tokio::test]
async fn a_store_that_refuses_a_link_says_nothing_of_our_credentials() {
    let (registry, store) = registry_and_store(|_| Some(Reply::status(403))).await;
    let (_kept, upstream) = with_store(&registry, &store);
    let asked = upstream.blob(&app(), &digest()).await;
    assert!(matches!(asked, Err(UpstreamError::Failing { .. })), "{asked:?}");
}
