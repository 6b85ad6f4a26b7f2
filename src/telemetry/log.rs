//! The log: one event, one line, on standard error, and never a reason to wait.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::filter_fn,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    registry::Registry,
    util::{SubscriberInitExt as _, TryInitError},
};

/// Events held while standard error is not read; above, they are dropped and counted (J8: a full log must not stop pulls).
const HELD: usize = 8_192;

/// How long the end of the program waits for the log to be read.
const FLUSH: Duration = Duration::from_secs(1);

/// What the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: an object a line.
    Json,
}

/// Keeps the log going; what is held is written when it is dropped.
#[must_use]
#[derive(Debug)]
pub struct Log(Writer);

impl Drop for Log {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        if self.0.sender.try_send(Message::Flush(done)).is_ok() {
            let _: Result<(), RecvTimeoutError> = written.recv_timeout(FLUSH);
        }
    }
}

/// Sends the program's events to standard error. Which, `RUST_LOG` says; `info` without. Panics become events too.
///
/// # Errors
/// When there is a log already.
pub fn init(format: Format) -> Result<Log, TryInitError> {
    let writer = Writer::start(io::stderr());
    let (filter, bad) = match std::env::var("RUST_LOG").map(|text| text.parse::<EnvFilter>()) {
        Ok(Ok(filter)) => (filter, None),
        Ok(Err(error)) => (EnvFilter::new("info"), Some(error)),
        Err(_) => (EnvFilter::new("info"), None),
    };
    tracing_subscriber::registry().with(layer(format, writer.clone())).with(filter).try_init()?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "panicked: {}", panic.payload_as_str().unwrap_or("no message"));
    }));
    if let Some(error) = bad {
        tracing::warn!(%error, "RUST_LOG cannot be read: logging at info");
    }
    Ok(Log(writer))
}

fn layer<W>(format: Format, writer: W) -> Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(false);
    match format {
        Format::Text => layer.with_filter(filter_fn(is_tellable)).boxed(),
        Format::Json => layer.json().flatten_event(true).with_filter(filter_fn(is_tellable)).boxed(),
    }
}

/// At `trace` the HTTP and TLS libraries may tell headers and so credentials (J4): only our own events are told there.
fn is_tellable(metadata: &Metadata<'_>) -> bool {
    *metadata.level() < Level::TRACE || metadata.target().starts_with("pullgate")
}

enum Message {
    Event(Vec<u8>),
    Flush(SyncSender<()>),
}

/// Hands each event to a thread of its own.
#[derive(Debug, Clone)]
struct Writer {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Writer {
    fn start(out: impl Write + Send + 'static) -> Self {
        let (sender, receiver) = sync_channel(HELD);
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Self { sender, dropped: Arc::clone(&dropped) };
        // Without the thread nothing is told, and everything else goes on.
        let _ = std::thread::Builder::new().name("log".to_owned()).spawn(move || run(&receiver, &dropped, out));
        writer
    }
}

fn run(receiver: &Receiver<Message>, dropped: &AtomicU64, mut out: impl Write) {
    for message in receiver {
        match message {
            Message::Event(event) => {
                let _ = out.write_all(&event);
            }
            Message::Flush(done) => {
                let _ = out.flush();
                let _ = done.send(());
            }
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "pullgate: {lost} log events were dropped because the log was not read");
        }
    }
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Self;

    fn make_writer(&'a self) -> Self::Writer {
        self.clone()
    }
}

impl Write for Writer {
    /// One call is one event, as the formatter makes them.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.sender.try_send(Message::Event(one_line(event))) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            metrics::counter!(super::LOG_DROPPED).increment(1);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The event with every control character and every mark that turns text around written as `\u….`, save the newline at its
/// end: nothing a client or an upstream wrote can make a second line (J1) or move a terminal's cursor (J2, J3). Inside a JSON
/// string that is the very escape JSON has.
fn one_line(event: &[u8]) -> Vec<u8> {
    let event = event.strip_suffix(b"\n").unwrap_or(event);
    let plain = |byte: &u8| matches!(byte, b' '..=b'~');
    let mut line = Vec::with_capacity(event.len() + 1);
    if event.iter().all(plain) {
        line.extend_from_slice(event);
    } else {
        for character in String::from_utf8_lossy(event).chars() {
            if character.is_control()
                || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
            {
                let _ = write!(line, "\\u{:04x}", u32::from(character));
            } else {
                let mut utf8 = [0; 4];
                line.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
            }
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    /// What one event looks like.
    fn told(format: Format, tell: impl FnOnce()) -> String {
        let (sender, receiver) = sync_channel(8);
        let writer = Writer { sender, dropped: Arc::default() };
        let subscriber = tracing_subscriber::registry().with(layer(format, writer));
        tracing::subscriber::with_default(subscriber, tell);
        receiver
            .try_iter()
            .map(|message| match message {
                Message::Event(event) => String::from_utf8(event).unwrap(),
                Message::Flush(_) => String::new(),
            })
            .collect()
    }

    const NASTY: &str = "a\r\nb\0c\x1b[31md\u{9b}e\u{202e}f\x7f";

    #[test]
    fn j1_an_event_is_one_json_line_whatever_a_client_wrote() {
        let line = told(Format::Json, || tracing::info!(agent = NASTY, shown = %NASTY, "hello {NASTY}"));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(!line.trim_end().chars().any(char::is_control), "{line:?}");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["agent"], NASTY, "the escapes are JSON's: nothing is lost");
    }

    #[test]
    fn j3_the_text_format_escapes_what_would_move_a_terminal() {
        let line = told(Format::Text, || tracing::info!(agent = NASTY, shown = %NASTY, "hello {NASTY}"));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(!line.trim_end().chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }

    #[test]
    fn j4_the_libraries_are_not_told_at_trace() {
        let lines = told(Format::Text, || {
            tracing::trace!(target: "hyper::proto", "authorization: canary");
            tracing::trace!(target: "pullgate::gate", "ours");
            tracing::debug!(target: "hyper::proto", "closed");
        });
        assert!(!lines.contains("canary"), "{lines}");
        assert!(lines.contains("ours") && lines.contains("closed"), "{lines}");
    }

    /// Blocks until it is let go, like a pipe nobody reads.
    struct Blocked(Receiver<()>, std::sync::mpsc::Sender<Vec<u8>>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn j8_a_log_nobody_reads_stops_nothing_and_says_later_what_was_lost() {
        let (release, blocked) = channel();
        let (told, lines) = channel();
        let mut writer = Writer::start(Blocked(blocked, told));
        for _ in 0..HELD + 100 {
            writer.write_all(b"event\n").unwrap();
        }
        let lost = writer.dropped.load(Ordering::Relaxed);
        assert!((99..=100).contains(&lost), "{lost}");
        drop(release);
        let mut text = Vec::new();
        while !text.ends_with(b"was not read\n") {
            text.extend(lines.recv_timeout(Duration::from_secs(5)).unwrap());
        }
        assert!(String::from_utf8(text).unwrap().contains(&format!("{lost} log events were dropped")));
    }
}
