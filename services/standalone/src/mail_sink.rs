//! A mail server that keeps what it gets: the local end of every mail of the demo and of the tests.
//!
//! It speaks as much SMTP as a client needs that sends in clear text, and can be told to refuse or to fall silent.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
};

/// Bytes of one line at the most; a longer one ends the connection.
const LINE_MAX: usize = 1 << 20;
/// Lines of one mail at the most.
const LINES_MAX: usize = 100_000;

/// A mail as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Address of the envelope's sender.
    pub from: String,
    /// Addresses of the envelope's recipients.
    pub to: Vec<String>,
    /// The Message-ID, without angle brackets; empty when there is none.
    pub message_id: String,
    /// Head and body, lines ended by `\n`, dots unstuffed.
    pub text: String,
}

impl Mail {
    /// The first header of that name, unfolded; not decoded.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let mut found: Option<String> = None;
        for line in self.text.lines().take_while(|line| !line.is_empty()) {
            match &mut found {
                Some(value) if line.starts_with([' ', '\t']) => value.push_str(line),
                Some(_) => break,
                None => {
                    let value = line.split_once(':').filter(|(key, _)| key.eq_ignore_ascii_case(name));
                    found = value.map(|(_, value)| value.trim().to_owned());
                }
            }
        }
        found
    }
}

/// What to do with a mail, instead of taking it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// Refuse for now (451).
    Later,
    /// Refuse for good (550).
    Never,
    /// Take it and close the connection without an answer.
    Silence,
}

/// The server. It ends when dropped.
pub struct MailSink {
    address: SocketAddr,
    kept: Arc<Kept>,
    listener: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    mails: Mutex<Vec<Mail>>,
    troubles: Mutex<VecDeque<Trouble>>,
    count: watch::Sender<usize>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one push or pop, so what a panicking holder leaves is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MailSink {
    /// Listens on a free port of the loopback.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Kept::default());
        let keeping = kept.clone();
        let listener = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = keeping.clone();
                // A connection that breaks is the client's affair: it finds out by itself.
                tokio::spawn(async move { converse(stream, &kept).await });
            }
        });
        Ok(Self { address, kept, listener })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it got so far, in order.
    #[must_use]
    pub fn mails(&self) -> Vec<Mail> {
        locked(&self.kept.mails).clone()
    }

    /// What to do with the next mails, instead of taking them.
    pub fn expect_trouble(&self, troubles: &[Trouble]) {
        locked(&self.kept.troubles).extend(troubles);
    }

    /// Waits until it has got that many.
    pub async fn reached(&self, count: usize) {
        // The sender lives in `self`.
        let _ = self.kept.count.subscribe().wait_for(|got| *got >= count).await;
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// One connection: greets, then answers command by command until the client leaves or breaks a bound.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, kept: &Kept) -> Option<()> {
    let (reader, mut writer) = tokio::io::split(&mut stream);
    let mut reader = BufReader::new(reader);
    let (mut from, mut to) = (String::new(), Vec::new());
    say(&mut writer, "220 sink ESMTP").await?;
    loop {
        let line = next_line(&mut reader).await?;
        let verb = line.get(..4).unwrap_or(&line).to_ascii_uppercase();
        match verb.as_str() {
            "EHLO" => say(&mut writer, "250-sink\r\n250-8BITMIME\r\n250 SMTPUTF8").await?,
            "HELO" | "NOOP" => say(&mut writer, "250 ok").await?,
            "RSET" => {
                to.clear();
                say(&mut writer, "250 ok").await?;
            }
            "MAIL" => {
                from = address(&line);
                to.clear();
                say(&mut writer, "250 ok").await?;
            }
            "RCPT" => {
                to.push(address(&line));
                say(&mut writer, "250 ok").await?;
            }
            "DATA" => {
                say(&mut writer, "354 go on").await?;
                let text = data(&mut reader).await?;
                let answer = kept.take(Mail::new(std::mem::take(&mut from), std::mem::take(&mut to), text))?;
                say(&mut writer, answer).await?;
            }
            "QUIT" => return say(&mut writer, "221 bye").await,
            _ => say(&mut writer, "502 not known").await?,
        }
    }
}

impl Mail {
    fn new(from: String, to: Vec<String>, text: String) -> Self {
        let mail = Self { from, to, message_id: String::new(), text };
        let message_id = mail.header("Message-ID").unwrap_or_default();
        Self { message_id: message_id.trim_matches(['<', '>']).to_owned(), ..mail }
    }
}

impl Kept {
    /// The answer to a mail; none when the connection is to be closed instead.
    fn take(&self, mail: Mail) -> Option<&'static str> {
        let trouble = locked(&self.troubles).pop_front();
        match trouble {
            Some(Trouble::Later) => return Some("451 come back later"),
            Some(Trouble::Never) => return Some("550 not here"),
            Some(Trouble::Silence) | None => {}
        }
        locked(&self.mails).push(mail);
        self.count.send_modify(|count| *count += 1);
        trouble.is_none().then_some("250 kept")
    }
}

async fn say(writer: &mut (impl AsyncWrite + Unpin), line: &str) -> Option<()> {
    writer.write_all(format!("{line}\r\n").as_bytes()).await.ok()?;
    writer.flush().await.ok()
}

async fn next_line(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    let mut bounded = tokio::io::AsyncReadExt::take(reader, LINE_MAX as u64);
    bounded.read_until(b'\n', &mut bytes).await.ok().filter(|read| *read > 0)?;
    bytes.ends_with(b"\n").then(|| String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

async fn data(reader: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut text = String::new();
    for _ in 0..LINES_MAX {
        let line = next_line(reader).await?;
        if line == "." {
            return Some(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
        text.push('\n');
    }
    None
}

fn address(line: &str) -> String {
    let inside = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inside.map(|(address, _)| address.to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn send(sink: &MailSink, lines: &str) -> String {
        use tokio::io::AsyncReadExt;
        let mut stream = tokio::net::TcpStream::connect(sink.address()).await.expect("it listens");
        stream.write_all(lines.replace('\n', "\r\n").as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }

    const MAIL: &str = "EHLO me\nMAIL FROM:<a@example.com>\nRCPT TO:<b@example.com>\nDATA\nSubject: one\n \
                        two\nMessage-ID: <1@example.com>\n\n..dot\n.\nQUIT\n";

    #[tokio::test]
    async fn a_mail_is_kept_with_its_envelope_its_id_and_its_dots() {
        let sink = MailSink::start().await.expect("a free port");
        assert!(send(&sink, MAIL).await.contains("250 kept"));
        let mail = sink.mails().remove(0);
        assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("a@example.com", &["b@example.com".to_owned()][..]));
        assert_eq!((mail.message_id.as_str(), mail.header("subject").as_deref()), ("1@example.com", Some("one two")));
        assert!(mail.text.ends_with("\n.dot\n"));
    }

    #[tokio::test]
    async fn a_mail_that_meets_silence_is_kept_and_not_answered() {
        let sink = MailSink::start().await.expect("a free port");
        sink.expect_trouble(&[Trouble::Later, Trouble::Silence]);
        assert!(send(&sink, MAIL).await.contains("451"));
        assert_eq!(sink.mails(), []);
        assert!(!send(&sink, MAIL).await.contains("250 kept"));
        assert_eq!(sink.mails().len(), 1);
    }
}
