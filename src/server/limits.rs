//! The layers that bound a request: how many at once, how long until headers, and that a panic is an answer.
//!
//! They are `tower` layers over hyper's `Service`, whose `call` takes `&self`: nothing is cloned, boxed or allocated for a
//! request that is answered at its first poll. What each answers with is given to it, for this room knows nothing of OCI.

use std::{
    any::Any,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Buf;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::service::Service;
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::Layer;

use super::Stats;

/// Why a request was answered by a limit: the label of [`crate::telemetry::SHED`].
fn count(why: &'static str) {
    metrics::counter!(crate::telemetry::SHED, "why" => why).increment(1);
}

// ---- a panic is an answer ------------------------------------------------------------------------------------------

/// A layer that turns a panic below into a response. A panic in a body resets its connection instead: the headers are gone.
#[derive(Debug, Clone, Copy)]
pub struct CatchPanicLayer<A> {
    answer: A,
}

impl<A> CatchPanicLayer<A> {
    /// Answers with `answer`.
    #[must_use]
    pub const fn new(answer: A) -> Self {
        Self { answer }
    }
}

impl<S, A: Clone> Layer<S> for CatchPanicLayer<A> {
    type Service = CatchPanic<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchPanic { inner, answer: self.answer.clone() }
    }
}

/// See [`CatchPanicLayer`].
#[derive(Debug, Clone)]
pub struct CatchPanic<S, A> {
    inner: S,
    answer: A,
}

impl<S, R, B, A> Service<R> for CatchPanic<S, A>
where
    S: Service<R, Response = Response<B>>,
    A: Fn() -> Response<B> + Clone,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = CaughtFuture<S::Future, A>;

    fn call(&self, request: R) -> Self::Future {
        let inner = std::panic::catch_unwind(AssertUnwindSafe(|| self.inner.call(request))).ok();
        CaughtFuture { inner, answer: self.answer.clone() }
    }
}

pin_project! {
    /// See [`CatchPanicLayer`].
    pub struct CaughtFuture<F, A> {
        #[pin]
        inner: Option<F>,
        answer: A,
    }
}

impl<F, A> fmt::Debug for CaughtFuture<F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CaughtFuture")
    }
}

impl<F, B, A, E> Future for CaughtFuture<F, A>
where
    F: Future<Output = Result<Response<B>, E>>,
    A: Fn() -> Response<B>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            count("panic");
            return Poll::Ready(Ok((this.answer)()));
        };
        match std::panic::catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(polled) => polled,
            Err(payload) => {
                // The message went to the log by the panic hook; the payload may be anything, its drop too.
                let _: Box<dyn Any + Send> = payload;
                this.inner.set(None);
                count("panic");
                Poll::Ready(Ok((this.answer)()))
            }
        }
    }
}

// ---- how many at once ----------------------------------------------------------------------------------------------

/// A layer that lets so many requests be in flight, each counted until its response's last byte was taken by the socket
/// (counting to the headers is the bug linkerd documents beside its own limit). Above: shed, now rather than late.
#[derive(Debug, Clone)]
pub struct InFlightLayer<A> {
    limit: usize,
    stats: Arc<Stats>,
    answer: A,
}

impl<A> InFlightLayer<A> {
    /// At most `limit` at once, counted in `stats`; others get `answer`.
    #[must_use]
    pub const fn new(limit: usize, stats: Arc<Stats>, answer: A) -> Self {
        Self { limit, stats, answer }
    }
}

impl<S, A: Clone> Layer<S> for InFlightLayer<A> {
    type Service = InFlight<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        InFlight { inner, limit: self.limit, stats: Arc::clone(&self.stats), answer: self.answer.clone() }
    }
}

/// See [`InFlightLayer`].
#[derive(Debug, Clone)]
pub struct InFlight<S, A> {
    inner: S,
    limit: usize,
    stats: Arc<Stats>,
    answer: A,
}

/// One request's place among those in flight.
#[derive(Debug)]
pub struct Place(Arc<Stats>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S, R, B, A> Service<R> for InFlight<S, A>
where
    S: Service<R, Response = Response<B>>,
    A: Fn() -> Response<B> + Clone,
    B: Body,
{
    type Response = Response<Held<B, Place>>;
    type Error = S::Error;
    type Future = HeldFuture<S::Future, B, Place>;

    fn call(&self, request: R) -> Self::Future {
        if self.stats.in_flight.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.stats.in_flight.fetch_sub(1, Ordering::Relaxed);
            count("busy");
            return HeldFuture { inner: Either::Shed { answer: Some((self.answer)()) }, guard: None };
        }
        HeldFuture::new(self.inner.call(request), Place(Arc::clone(&self.stats)))
    }
}

pin_project! {
    /// A response on its way, and what is held until its last byte left.
    pub struct HeldFuture<F, B, G> {
        #[pin]
        inner: Either<F, B>,
        guard: Option<G>,
    }
}

pin_project! {
    #[project = EitherProj]
    enum Either<F, B> {
        Called { #[pin] future: F },
        Shed { answer: Option<Response<B>> },
    }
}

impl<F, B, G> HeldFuture<F, B, G> {
    /// Holds `guard` until `future`'s response has wholly left.
    pub const fn new(future: F, guard: G) -> Self {
        Self { inner: Either::Called { future }, guard: Some(guard) }
    }
}

impl<F, B, G> fmt::Debug for HeldFuture<F, B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HeldFuture")
    }
}

impl<F, B, G, E> Future for HeldFuture<F, B, G>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Held<B, G>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.inner.project() {
            EitherProj::Called { future } => ready!(future.poll(cx))?,
            EitherProj::Shed { answer } => match answer.take() {
                Some(answer) => answer,
                None => return Poll::Pending,
            },
        };
        let guard = this.guard.take();
        Poll::Ready(Ok(response.map(|body| Held { body, guard })))
    }
}

pin_project! {
    /// A body that holds something until its last byte was taken by the socket: the guard travels with the last piece.
    #[derive(Debug)]
    pub struct Held<B, G> {
        #[pin]
        body: B,
        guard: Option<G>,
    }
}

/// A piece of a [`Held`] body.
#[derive(Debug)]
pub struct Piece<D, G> {
    data: D,
    _guard: Option<G>,
}

impl<D: Buf, G> Buf for Piece<D, G> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [std::io::IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(dst)
    }

    fn advance(&mut self, n: usize) {
        self.data.advance(n);
    }

    fn copy_to_bytes(&mut self, len: usize) -> bytes::Bytes {
        self.data.copy_to_bytes(len)
    }
}

impl<B: Body, G> Body for Held<B, G> {
    type Data = Piece<B::Data, G>;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) else {
            drop(this.guard.take());
            return Poll::Ready(None);
        };
        let last = this.body.is_end_stream();
        Poll::Ready(Some(
            frame.map(|frame| frame.map_data(|data| Piece { data, _guard: if last { this.guard.take() } else { None } })),
        ))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// ---- how long until headers ----------------------------------------------------------------------------------------

/// A layer that answers when nothing below has after so long. The clock is only read, and the timer only made, for a request
/// that is not answered at its first poll.
#[derive(Debug, Clone, Copy)]
pub struct TimeToHeadersLayer<A> {
    limit: Duration,
    answer: A,
}

impl<A> TimeToHeadersLayer<A> {
    /// After `limit`, `answer`.
    #[must_use]
    pub const fn new(limit: Duration, answer: A) -> Self {
        Self { limit, answer }
    }
}

impl<S, A: Clone> Layer<S> for TimeToHeadersLayer<A> {
    type Service = TimeToHeaders<S, A>;

    fn layer(&self, inner: S) -> Self::Service {
        TimeToHeaders { inner, limit: self.limit, answer: self.answer.clone() }
    }
}

/// See [`TimeToHeadersLayer`].
#[derive(Debug, Clone)]
pub struct TimeToHeaders<S, A> {
    inner: S,
    limit: Duration,
    answer: A,
}

impl<S, R, B, A> Service<R> for TimeToHeaders<S, A>
where
    S: Service<R, Response = Response<B>>,
    A: Fn() -> Response<B> + Clone,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = TimedFuture<S::Future, A>;

    fn call(&self, request: R) -> Self::Future {
        TimedFuture { inner: self.inner.call(request), timer: None, limit: self.limit, answer: self.answer.clone() }
    }
}

pin_project! {
    /// See [`TimeToHeadersLayer`].
    pub struct TimedFuture<F, A> {
        #[pin]
        inner: F,
        #[pin]
        timer: Option<Sleep>,
        limit: Duration,
        answer: A,
    }
}

impl<F, A> fmt::Debug for TimedFuture<F, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimedFuture")
    }
}

impl<F, B, A, E> Future for TimedFuture<F, A>
where
    F: Future<Output = Result<Response<B>, E>>,
    A: Fn() -> Response<B>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Poll::Ready(answer) = this.inner.poll(cx) {
            return Poll::Ready(answer);
        }
        if this.timer.is_none() {
            this.timer.set(Some(tokio::time::sleep(*this.limit)));
        }
        if let Some(timer) = this.timer.as_mut().as_pin_mut() {
            ready!(timer.poll(cx));
        }
        count("slow");
        Poll::Ready(Ok((this.answer)()))
    }
}
