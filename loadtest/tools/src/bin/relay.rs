//! A TCP relay that is a longer or a narrower wire, and tells what went through it: for upstreams that are not on loopback.
//!
//! usage: relay LISTEN TARGET [delay=MILLISECONDS] [rate=MIB_PER_SECOND]
//!
//! With a delay D every byte is delivered D after it was read, in both directions; what is under way is not waited for, so
//! bytes in flight pipeline as on a wire. A connection takes a round trip to open: what a client sends before 2 D have passed is
//! taken as sent then. With a rate, what comes from the target is delivered no faster, all connections together.
//! Prints a line for each connection, and one for each request head on it.
//!
//! Threads and not tokio: its timers tick in milliseconds, and what is measured through this are some round trips of a few.

use std::{
    error::Error,
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// What is read at once: at 100 MiB/s an eighth of a millisecond's worth.
const CHUNK: usize = 16 << 10;
/// Chunks under way in one direction, at most: 64 MiB, 200 ms at 320 MiB/s.
const UNDER_WAY: usize = 4096;

#[derive(Clone)]
struct Wire {
    delay: Duration,
    /// Seconds a byte takes, and when the wire is free again.
    rate: Option<(f64, Arc<Mutex<Instant>>)>,
}

impl Wire {
    /// When what was read `at` arrives.
    fn arrival(&self, at: Instant, len: usize) -> Instant {
        let Some((seconds, free)) = &self.rate else { return at + self.delay };
        let mut free = free.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        *free = at.max(*free) + Duration::from_secs_f64(seconds * len as f64);
        *free + self.delay
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, target, options @ ..] = arguments.as_slice() else {
        return Err("usage: relay LISTEN TARGET [delay=MILLISECONDS] [rate=MIB_PER_SECOND]".into());
    };
    let mut there = Wire { delay: Duration::ZERO, rate: None };
    let mut back = there.clone();
    for option in options {
        match option.split_once('=') {
            Some(("delay", value)) => there.delay = Duration::from_secs_f64(value.parse::<f64>()? / 1e3),
            Some(("rate", value)) => {
                back.rate = Some((1.0 / (value.parse::<f64>()? * f64::from(1 << 20)), Arc::new(Mutex::new(Instant::now()))));
            }
            _ => return Err(format!("what is `{option}`?").into()),
        }
    }
    back.delay = there.delay;
    for (number, client) in TcpListener::bind(listen)?.incoming().enumerate() {
        let (client, target) = (client?, TcpStream::connect(target)?);
        let open = Instant::now() + 2 * there.delay;
        println!("connection {number}");
        client.set_nodelay(true)?;
        target.set_nodelay(true)?;
        relay(client.try_clone()?, target.try_clone()?, there.clone(), open, Some(Heads { number, pending: Vec::new() }));
        relay(target, client, back.clone(), Instant::now(), None);
    }
    Ok(())
}

/// One direction, in two threads.
fn relay(from: TcpStream, to: TcpStream, wire: Wire, open: Instant, heads: Option<Heads>) {
    let (send, receive) = sync_channel(UNDER_WAY);
    thread::spawn(move || read(from, &wire, open, heads, &send));
    thread::spawn(move || write(to, &receive));
}

fn read(mut from: TcpStream, wire: &Wire, open: Instant, mut heads: Option<Heads>, send: &SyncSender<(Instant, Vec<u8>)>) {
    loop {
        let mut chunk = vec![0; CHUNK];
        // A connection that breaks is passed on as one that ends: nothing here is about how connections break.
        let len = from.read(&mut chunk).unwrap_or(0);
        chunk.truncate(len);
        if let Some(heads) = &mut heads {
            heads.tell(&chunk);
        }
        if send.send((wire.arrival(Instant::now().max(open), len), chunk)).is_err() || len == 0 {
            return;
        }
    }
}

fn write(mut to: TcpStream, receive: &Receiver<(Instant, Vec<u8>)>) {
    let end = |to: &TcpStream| drop(to.shutdown(Shutdown::Write));
    while let Ok((at, chunk)) = receive.recv() {
        thread::sleep(at.saturating_duration_since(Instant::now()));
        if chunk.is_empty() || to.write_all(&chunk).is_err() {
            break;
        }
    }
    end(&to);
}

/// Tells the first line of every request head. Requests here have no bodies.
struct Heads {
    number: usize,
    pending: Vec<u8>,
}

impl Heads {
    fn tell(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = self.pending.drain(..end + 4).collect();
            let line = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
            // One write a line: lines of several threads do not mix.
            let _ = io::stdout().write_all(format!("request {} {line}\n", self.number).as_bytes());
        }
    }
}
