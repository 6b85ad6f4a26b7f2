//! Listing tags as the specification has it, in lexical order and after a tag, of registries that list them otherwise.
//!
//! Many do: GitHub's and Amazon's in the order of pushes or in none, with cursors of their own where a tag should be (Amazon's
//! refuses a tag with 405), others by case-insensitive or natural order, and some ignore `last`. A page that is taken for the next
//! in order where it is not leaves tags out and nobody sees it. So order is believed where it is seen, and all pages are read where
//! it is not.

use http::Method;
use serde_json::Value;
use url::Url;

use super::{
    MAX_PAGE, TagsPage, UpstreamError,
    client::{MAX_URL, Question, Registry},
    http::What,
    link,
};
use crate::oci::{Repository, Tag, json};

/// How many pages of a registry's are read for one of ours, where it keeps no order.
const MAX_TAG_PAGES: usize = 100;
/// How many tags these may have.
const MAX_TAGS: usize = 200_000;
/// How many tags a page is asked for. As many as registries give: a page of few says little of their order.
const PER_PAGE: &str = "1000";
/// So many tags are not in order by chance.
const TELLING: usize = 16;

/// A page as the registry gives it.
struct Page {
    tags: Vec<String>,
    next: Option<Url>,
}

/// At most `limit` tags after `last`, in lexical order.
pub(super) async fn page(
    registry: &Registry,
    repository: &Repository,
    limit: usize,
    last: Option<&str>,
) -> Result<TagsPage, UpstreamError> {
    let mut following = match last {
        Some(last) => following(registry, repository, last).await?,
        None => None,
    };
    if let Some(Page { tags, next }) = following.take_if(|page| page.tags.len() >= TELLING) {
        return Ok(cut(tags, next.is_some(), limit));
    }
    let is_after = |tag: &String| last.is_none_or(|last| tag.as_str() > last);
    let (mut tags, mut in_order) = (Vec::<String>::new(), true);
    let mut question = question(registry, repository, None)?;
    for _ in 0..MAX_TAG_PAGES {
        let Page { tags: found, next } = read(registry, &question, &[]).await?.ok_or(UpstreamError::NotFound)?;
        in_order &= found.is_sorted() && tags.last().is_none_or(|before| found.first().is_none_or(|first| before < first));
        tags.extend(found);
        let Some(next) = next.filter(|next| *next != question.url) else {
            tags.retain(is_after);
            return Ok(cut(tags, false, limit));
        };
        // What is in order so far goes on so, and need not be read to its end.
        if in_order && tags.len() >= TELLING {
            if let Some(Page { tags, next }) = following {
                return Ok(cut(tags, next.is_some(), limit));
            }
            if tags.iter().any(is_after) {
                tags.retain(is_after);
                return Ok(cut(tags, true, limit));
            }
        }
        if tags.len() > MAX_TAGS {
            break;
        }
        question.url = next;
    }
    Err(registry.http.lied(format!(
        "its list of tags is in no lexical order, or it ignores `last`, and has more than {MAX_TAG_PAGES} pages or {MAX_TAGS} tags"
    )))
}

/// What the registry says comes after `last`, unless it is seen not to.
async fn following(registry: &Registry, repository: &Repository, last: &str) -> Result<Option<Page>, UpstreamError> {
    // Where `last` is a cursor, a tag is a bad request.
    let page = read(registry, &question(registry, repository, Some(last))?, &[400, 405, 422]).await?;
    Ok(page.filter(|page| page.tags.is_sorted() && page.tags.iter().all(|tag| tag.as_str() > last)))
}

/// Sorted, and no more than `limit` of them.
fn cut(mut tags: Vec<String>, more: bool, limit: usize) -> TagsPage {
    tags.sort_unstable();
    tags.dedup();
    let more = limit > 0 && (more || tags.len() > limit);
    tags.truncate(limit);
    TagsPage { tags, more }
}

fn question<'a>(registry: &Registry, repository: &'a Repository, last: Option<&str>) -> Result<Question<'a>, UpstreamError> {
    let mut question = registry.question(What::Tags, Method::GET, repository, "tags/list", "application/json")?;
    question.url.query_pairs_mut().append_pair("n", PER_PAGE).extend_pairs(last.map(|last| ("last", last)));
    Ok(question)
}

/// The page asked for; `None` for a status in `refused`.
async fn read(registry: &Registry, question: &Question<'_>, refused: &[u16]) -> Result<Option<Page>, UpstreamError> {
    let Some(whole) = registry.whole(question, MAX_PAGE, refused).await? else { return Ok(None) };
    let tags = parse(&whole.bytes).map_err(|why| registry.http.lied(why))?;
    let next = link::next(&whole.headers).map(|link| next(registry, &question.url, &link)).transpose()?;
    Ok(Some(Page { tags, next }))
}

/// The next page: where we are, with the link's query. Never where the link leads: that could be anywhere (X3), and behind a front
/// end it names what is behind (Artifactory leaves its repository out, Nexus names its own scheme, host and port).
fn next(registry: &Registry, url: &Url, link: &str) -> Result<Url, UpstreamError> {
    let target = Some(link).filter(|link| link.len() <= MAX_URL).and_then(|link| url.join(link).ok());
    let target = target.ok_or_else(|| registry.http.lied("its link to the next page of tags is no URL, or too long"))?;
    let mut next = url.clone();
    next.set_query(target.query());
    Ok(next)
}

/// The tags of a page. What is no tag by the specification is left out: it could not be asked for.
fn parse(bytes: &[u8]) -> Result<Vec<String>, String> {
    let value = json::parse(bytes).map_err(|error| format!("its list of tags is malformed: {error}"))?;
    let tags = match value.get("tags") {
        Some(Value::Array(tags)) => tags,
        // Go writes a nil slice as null.
        Some(Value::Null) => return Ok(Vec::new()),
        None | Some(_) => return Err("its list of tags has no `tags`".into()),
    };
    Ok(tags.iter().filter_map(Value::as_str).filter(|tag| tag.parse::<Tag>().is_ok()).map(str::to_owned).collect())
}
